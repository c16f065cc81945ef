"""The output of networks: logits with attention maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union

from torch import Tensor

if TYPE_CHECKING:
    from .position_attention import PositionFeatures

# All maps, none (logits alone), or those named.
ReturnAttention = Union[bool, Iterable[str]]
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """Logits and attention maps of one forward pass.

    Attributes:
        logits: [B, classes, *S] at the size of the input.
        attention: maps by name, each [B, 1, *S/stride] at the resolution they have in the network.
        side_logits: other predictions that the loss supervises (see `Network.loss_terms`), each [B, classes, *S]. Attention U-Net: of each decoder
            level with deep supervision, coarsest first. Guided attention, in training: of each scale before, then after refinement.
        uncertainty: [B, 1, *S], 0 (certain) to 1, from networks with several predictions; else None.
        positions: queries and keys of the position attentions whose maps were requested, by the name of the map; for `probe`.
        compared: pairs of features whose difference the loss minimizes, by the name of its term; only in training.
    """

    logits: Tensor
    attention: dict[str, Tensor] = field(default_factory=dict)
    side_logits: tuple[Tensor, ...] = ()
    uncertainty: Tensor | None = None
    positions: dict[str, PositionFeatures] = field(default_factory=dict)
    compared: dict[str, Sequence[Pair]] = field(default_factory=dict)


def wanted_maps(return_attention: ReturnAttention, available: Iterable[str]) -> list[str]:
    """The names of the maps to compute. Raises ValueError for a name that the network does not have."""
    available = list(available)
    if isinstance(return_attention, bool):
        return available if return_attention else []
    wanted = list(return_attention)
    unknown = [name for name in wanted if name not in available]
    if unknown:
        msg = f"There is no attention map '{unknown[0]}'; the network has {', '.join(available) or 'none'}."
        raise ValueError(msg)
    return wanted
