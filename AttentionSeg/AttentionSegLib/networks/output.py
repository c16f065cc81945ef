"""What a network returns when more than logits is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """Logits with the attention that led to them.

    Attributes:
        logits: [B, classes, *S] at the size of the input.
        attention: maps by name, each [B, 1, *S/stride] at the resolution they have in the network.
        side_logits: logits of each decoder level on its own, coarsest first, each [B, classes, *S]; empty without deep supervision.
    """

    logits: Tensor
    attention: dict[str, Tensor] = field(default_factory=dict)
    side_logits: tuple[Tensor, ...] = ()
