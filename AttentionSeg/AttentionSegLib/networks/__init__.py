"""What the papers define: networks that give logits and attention maps."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import InputError
from .attention_gate import AttentionGate
from .attention_unet import AttentionUNet
from .guided_attention import GuidedAttention
from .output import NetworkOutput

NETWORKS: dict[str, type[nn.Module]] = {"attention-unet": AttentionUNet, "guided-attention": GuidedAttention}


def build_network(name: str, in_channels: int, out_channels: int, arguments: dict[str, Any]) -> nn.Module:
    """Make the network that a card names, with random weights.

    Args:
        name: a key of `NETWORKS`.
        in_channels: channels of the input.
        out_channels: classes, background included.
        arguments: the other arguments of its constructor.

    Raises:
        InputError: if the name or an argument is unknown or out of range, or the network does not fit into memory.
    """
    if name not in NETWORKS:
        msg = f"There is no network '{name}'; this version knows {', '.join(NETWORKS)}."
        raise InputError(msg)
    try:
        return NETWORKS[name](in_channels=in_channels, out_channels=out_channels, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        msg = f"The network '{name}' cannot be built with {arguments}: {reason}"
        raise InputError(msg) from error


__all__ = ["NETWORKS", "AttentionGate", "AttentionUNet", "GuidedAttention", "NetworkOutput", "build_network"]
