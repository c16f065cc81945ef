"""Uncertainty of networks that predict at several scales, as of an ensemble (Sinha & Dolz 2020)."""

from __future__ import annotations

import torch
from torch import Tensor


class ScaleSpread:
    """Uncertainty from several predictions for the same voxels, added one by one.

        doubt = 1 - max_c mean_s p_sc,   spread = sum_c var_s p_sc,   uncertainty = doubt + (1 - doubt) * spread

    `doubt` is large if no class has a high mean probability, `spread` if the scales disagree. 0..1.
    """

    def __init__(self) -> None:
        self._count = 0
        # Sums over the predictions, [B, classes, *S].
        self._sum: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def add(self, logits: Tensor) -> None:
        """Add one prediction, [B, classes, *S]."""
        share = torch.softmax(logits.float() if logits.dtype != torch.float64 else logits, 1)
        self._count += 1
        self._sum = share + self._sum
        self._squares = share.square() + self._squares

    def uncertainty(self) -> Tensor:
        """The uncertainty of all predictions so far: [B, 1, *S], 0..1."""
        mean = torch.as_tensor(self._sum / self._count)
        spread = (self._squares / self._count - mean.square()).sum(1, keepdim=True).clamp_min(0)
        doubt = 1 - mean.amax(1, keepdim=True)
        return (doubt + (1 - doubt) * spread).clamp(0, 1)
