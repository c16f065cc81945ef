"""The networks by name: the list that cards, command line, panel, planner and training take theirs from. Imports no network."""

from __future__ import annotations

from .errors import InputError

# Module, in the package `networks` where it begins with a point, and class (see `networks.contract.Network`).
NETWORKS: dict[str, str] = {
    "attention-unet": ".attention_unet:AttentionUNet",
    "guided-attention": ".guided_attention:GuidedAttention",
}


def check_network(name: str) -> None:
    """Raise InputError unless there is a network of this name."""
    if name not in NETWORKS:
        msg = f"There is no network '{name}'; this version knows {', '.join(NETWORKS)}."
        raise InputError(msg)
