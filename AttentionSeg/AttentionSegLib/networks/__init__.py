"""Networks that return logits and attention maps, and the table of their names."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from ..errors import InputError
from ..network_names import NETWORKS, check_network
from .attention_gate import AttentionGate
from .attention_unet import AttentionUNet
from .contract import Network, Variant
from .guided_attention import GuidedAttention
from .output import NetworkOutput

UNKNOWN_ARGUMENT = re.compile(r"unexpected keyword argument '([^']*)'")


def network_class(name: str) -> type[Network]:
    """The class of a network by its name in `NETWORKS`. Raises InputError if there is none."""
    check_network(name)
    module, _, found = NETWORKS[name].partition(":")
    return getattr(import_module(module, __name__), found)


def published_variant(name: str, backbone: str) -> Variant:
    """A network as it was published with a backbone. Raises InputError if there is no such network, or it has no such backbone."""
    backbones = network_class(name).backbones
    if backbone not in backbones:
        known = f"choose one of {', '.join(backbones)}" if backbones else "it has none, leave the backbone out"
        msg = f"The network '{name}' has no backbone '{backbone}'; {known}."
        raise InputError(msg)
    return backbones[backbone]


def build_network(name: str, in_channels: int, out_channels: int, arguments: dict[str, Any]) -> Network:
    """Build the network that a card names, with random weights.

    Args:
        name: a key of `NETWORKS`.
        in_channels: channels of the input.
        out_channels: classes, background included.
        arguments: the other arguments of its constructor.

    Raises:
        InputError: if the name or an argument is unknown or out of range, or the network does not fit into memory.
    """
    network, dims = network_class(name), arguments.get("spatial_dims")
    try:
        if dims in (2, 3) and dims not in network.dimensions:
            msg = f"it has no variant in {dims} dimensions."
            raise ValueError(msg)
        return network(in_channels=in_channels, out_channels=out_channels, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        unknown = UNKNOWN_ARGUMENT.search(reason)
        if unknown:
            reason = f"it has no argument '{unknown[1]}'; leave it out of the card."
        msg = f"The network '{name}' cannot be built with {arguments}: {reason}"
        raise InputError(msg) from error


__all__ = [
    "NETWORKS",
    "AttentionGate",
    "AttentionUNet",
    "GuidedAttention",
    "Network",
    "NetworkOutput",
    "build_network",
    "network_class",
]
