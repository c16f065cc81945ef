"""Every network can learn real scans by heart: what is left out of the gradient or wired wrongly shows here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from AttentionSegLib.networks import build_network
from monai.losses import DiceCELoss
from monai.metrics import compute_dice
from torch import Tensor, nn

CASES = 20
SIZE = (24, 40, 32)
CLASSES = 3
BATCH = 2
PASSES = 80
ENOUGH = 0.95
LEARNERS: dict[str, dict[str, Any]] = {
    "attention-unet": {"spatial_dims": 3, "channels": [8, 16, 32, 64], "norm": "instance"},
    "guided-attention": {"spatial_dims": 3, "backbone": 10, "backbone_width": 0.25, "stem_stride": 2, "width": 16, "norm": "instance"},
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


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_scans_are_learned_by_heart(name, data_folder):
    torch.manual_seed(0)
    images, labels = load_cases(data_folder / "hippocampus")
    network = build_network(name, 1, CLASSES, LEARNERS[name])
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=PASSES * CASES // BATCH)
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    reached = 0.0
    for done in range(1, PASSES + 1):
        network.train()
        for batch in torch.randperm(CASES).split(BATCH):
            output = network(images[batch], return_attention=())
            # All predictions of a network count, as they do in its paper.
            predictions = output.side_logits or (output.logits,)
            optimizer.zero_grad()
            torch.stack([loss(prediction, labels[batch]) for prediction in predictions]).mean().backward()
            optimizer.step()
            schedule.step()
        if done % 4 == 0:
            reached = mean_dice(network, images, labels)
        if reached > ENOUGH:
            break
    assert reached > ENOUGH
