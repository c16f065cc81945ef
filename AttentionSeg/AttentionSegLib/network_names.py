"""The table of networks by name, which cards, command line, panel, planner and training read. Imports no network."""

from __future__ import annotations

from .errors import InputError

# Module (relative to the package `networks` if it begins with a dot) and class (see `networks.contract.Network`).
NETWORKS: dict[str, str] = {
    "attention-unet": ".attention_unet:AttentionUNet",
    "guided-attention": ".guided_attention:GuidedAttention",
    "monai-attention-unet": ".monai_attention_unet:MonaiAttentionUNet",
}


def check_network(name: str) -> None:
    """Raise InputError unless a network of this name exists."""
    if name not in NETWORKS:
        msg = f"There is no network '{name}'; this version knows {', '.join(NETWORKS)}."
        raise InputError(msg)
