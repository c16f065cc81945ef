"""Every network can learn real scans by heart: what is left out of the gradient or wired wrongly shows here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.metrics import compute_dice
from torch import Tensor, nn

CASES = 20
SIZE = (32, 48, 32)
CLASSES = 3
BATCH = 2
# Configuration, learning rate and passes over the cases that are more than enough.
LEARNERS: dict[str, tuple[dict[str, Any], float, int]] = {
    "attention-unet": ({"spatial_dims": 3, "channels": [8, 16, 32, 64], "norm": "instance"}, 3e-3, 60),
    "guided-attention": (
        {"spatial_dims": 3, "backbone": 10, "backbone_width": 0.25, "stem_stride": 2, "width": 16, "norm": "instance"},
        3e-3,
        60,
    ),
}


def fit(voxels: np.ndarray) -> np.ndarray:
    """Cut or pad with zeros to `SIZE`, about the middle."""
    padded = np.pad(voxels, [(max(0, size - n) // 2, max(0, size - n + 1) // 2) for n, size in zip(voxels.shape, SIZE)])
    return padded[tuple(slice((n - size) // 2, (n - size) // 2 + size) for n, size in zip(padded.shape, SIZE))]


def load_cases(folder: Path) -> tuple[Tensor, Tensor]:
    """Scans with a mean of 0 and a deviation of 1, and their labels, both [CASES, 1, *SIZE]."""
    images, labels = [], []
    for path in sorted((folder / "images").glob("*.nii.gz"))[:CASES]:
        voxels = nibabel.load(path).get_fdata(dtype=np.float32)
        images.append(fit((voxels - voxels.mean()) / voxels.std()))
        labels.append(fit(np.asarray(nibabel.load(folder / "labels" / path.name).dataobj).astype(np.int64)))
    return torch.from_numpy(np.stack(images))[:, None], torch.from_numpy(np.stack(labels))[:, None]


def mean_dice(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Over the cases and the classes other than the background."""
    network.eval()
    with torch.inference_mode():
        found = torch.cat([network(batch).argmax(1, keepdim=True) for batch in images.split(BATCH)])
    return compute_dice(found, labels, include_background=False, num_classes=CLASSES).mean().item()


def learn(network: nn.Module, images: Tensor, labels: Tensor, rate: float) -> None:
    """One pass over the cases. All predictions of a network count, as they do in its paper."""
    network.train()
