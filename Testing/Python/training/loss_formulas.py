"""The formulas of the losses in plain NumPy, and logits and labels to compare by."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from AttentionSegLib.networks import AttentionUNet, GuidedAttention

# A test that imports this file is skipped with it.
pytest.importorskip("monai")
from AttentionSegLib.training.losses import NetworkLoss

CLASSES = 3
WEIGHTS = torch.tensor([0.2, 1.0, 3.5], dtype=torch.float64)
IGNORED = 255
region_loss, guided_loss = partial(NetworkLoss, AttentionUNet.loss_terms), partial(NetworkLoss, GuidedAttention.loss_terms)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_logits(*size: int, seed: int = 0, batch: int = 2) -> torch.Tensor:
    return 3 * torch.randn(batch, CLASSES, *size, dtype=torch.float64, generator=generator(seed))


def make_label(*size: int, ignored: bool = False, seed: int = 1, batch: int = 2) -> torch.Tensor:
    """Every class, and where asked for about a third of ignored voxels."""
    label = torch.randint(0, CLASSES, (batch, 1, *size), dtype=torch.uint8, generator=generator(seed))
    hidden = torch.rand(label.shape, generator=generator(seed + 1)) < 0.3
    return torch.where(hidden, IGNORED, label) if ignored else label


def log_probabilities(logits: torch.Tensor) -> np.ndarray:
    """[N, classes] of all voxels of a batch."""
    flat = np.moveaxis(logits.numpy(), 1, -1).reshape(-1, CLASSES)
    return flat - np.log(np.exp(flat).sum(1, keepdims=True))


def cross_entropy(logits: torch.Tensor, label: torch.Tensor, weights=(1, 1, 1)) -> float:
    """- sum of w_y log p_y / sum of w_y"""
    voxels = [(row[y], float(weights[y])) for row, y in zip(log_probabilities(logits), label.flatten().tolist()) if y != IGNORED]
    return -sum(weight * log_p for log_p, weight in voxels) / sum(weight for _, weight in voxels)


def dice(logits: torch.Tensor, label: torch.Tensor, weights=(1, 1, 1)) -> float:
    """Weighted mean over classes of 1 - 2 sum of p t / (sum of p + sum of t)"""
    y = label.flatten().numpy()
    p, y = np.exp(log_probabilities(logits))[y != IGNORED], y[y != IGNORED]
    of_class = [1 - (2 * p[y == c, c].sum() + 1e-5) / (p[:, c].sum() + (y == c).sum() + 1e-5) for c in range(CLASSES)]
    return float(np.average(of_class, weights=np.asarray(weights)))


def exactly(value: float):
    return pytest.approx(value, abs=1e-9, rel=0)


def numbers(loss) -> dict[str, float]:
    return {name: term.item() for name, term in loss.terms.items()}
