"""Every network can learn real scans by heart, which shows whatever is cut off from the gradient or too weak to tell one voxel from the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from AttentionSegLib.networks import NETWORKS, build_network
from monai.losses import DiceCELoss
from monai.metrics import compute_dice
from torch import Tensor, nn

CASES = 20
SIZE = (24, 40, 32)
CLASSES = 3
BATCH = 2
RATE = 1e-2
PASSES, MEASURED_EVERY = 70, 5
DICE = 0.95

SMALL: dict[str, dict[str, Any]] = {
    "attention-unet": {"channels": [8, 16, 32, 64]},
    "guided-attention": {"backbone": 10, "backbone_width": 0.25, "stem_stride": 2, "width": 16, "steps": 1},
}


def fit(voxels: np.ndarray) -> np.ndarray:
    """Cut or pad with zeros to `SIZE`, about the middle."""
    padded = np.pad(voxels, [(max(0, size - n) // 2, max(0, size - n + 1) // 2) for n, size in zip(voxels.shape, SIZE)])
    return padded[tuple(slice((n - size) // 2, (n + size) // 2) for n, size in zip(padded.shape, SIZE))]


@pytest.fixture(scope="module")
def images_and_labels(data_folder: Path) -> tuple[Tensor, Tensor]:
    """Scans with a mean of 0 and a deviation of 1, and their labels, both [CASES, 1, *SIZE]."""
    images, labels = [], []
    for path in sorted((data_folder / "hippocampus" / "images").glob("*.nii.gz"))[:CASES]:
        voxels = nibabel.load(path).get_fdata(dtype=np.float32)
        images.append(fit((voxels - voxels.mean()) / voxels.std()))
        labels.append(fit(np.asarray(nibabel.load(path.parents[1] / "labels" / path.name).dataobj).astype(np.int64)))
    return torch.from_numpy(np.stack(images))[:, None], torch.from_numpy(np.stack(labels))[:, None]


def mean_dice(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Over the cases and the classes other than the background."""
    network.eval()
    with torch.inference_mode():
        found = torch.cat([network(batch).argmax(1, keepdim=True) for batch in images.split(BATCH)])
    return compute_dice(found, labels, include_background=False, num_classes=CLASSES).mean().item()


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_real_scans_by_heart(name, images_and_labels):
    images, labels = images_and_labels
    torch.manual_seed(0)
    network = build_network(name, 1, CLASSES, {"spatial_dims": 3, "norm": "instance", **SMALL.get(name, {})})
    criterion = DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=PASSES * CASES // BATCH, pct_start=0.2)
    dice: list[float] = []
    for done in range(1, PASSES + 1):
        network.train()
        for chosen in torch.randperm(CASES).split(BATCH):
            output = network(images[chosen], return_attention=[])
            predictions = output.side_logits or (output.logits,)
            loss = sum(criterion(logits, labels[chosen]) for logits in predictions) / len(predictions)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if done % MEASURED_EVERY == 0:
            dice.append(mean_dice(network, images, labels))
            if dice[-1] > DICE:
                break
    assert dice[-1] > DICE, dice
