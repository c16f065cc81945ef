"""Labelled scans as the network sees them, with augmentation."""

from __future__ import annotations

import numpy as np
import torch
from monai import transforms as mt
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import InputError
from ..files import read_image
from ..inference.checks import check_input
from ..inference.preprocessing import prepare, working_grid
from ..inference.resampling import sample, voxel_map
from ..models import Card
from .recipe import Case, Recipe


def prepare_case(case: Case, card: Card) -> tuple[Tensor, Tensor]:
    """Read a case onto its working grid, without growth to whole patches.

    Returns:
        The normalized image [C, I, J, K] float32, and the label values [1, I, J, K] uint8.

    Raises:
        InputError: if the model cannot work on the image, image and label map differ in shape, or the map holds values that the card does not name.
    """
    image, label = read_image(case.image), read_image(case.label)
    check_input(image, None, card)
    if image.shape != label.shape or not np.allclose(image.affine, label.affine, atol=1e-3):
        msg = f"Case {case.id}: image ({image.shape}) and label map ({label.shape}) do not lie on one grid; resample one to the other."
        raise InputError(msg)
    unknown = sorted(set(np.unique(label.voxels).tolist()) - set(range(len(card.labels) + 1)))
    if unknown:
        msg = f"Case {case.id}: the label map holds {unknown}, which the card does not name; correct the map or the card."
        raise InputError(msg)
    grid = working_grid(image, None, card, (1, 1, 1), (1, 1, 1))
    one_hot = np.concatenate([label.voxels == value for value in range(len(card.labels) + 1)]).astype(np.float32)
    on_grid = sample(torch.from_numpy(one_hot), voxel_map(grid.affine, label.affine), grid.shape)
    return prepare(image, None, grid, card), on_grid.argmax(0, keepdim=True).to(torch.uint8)


def augmentation(recipe: Recipe) -> mt.Compose:
    """Random changes of a patch: pose and size, mirror image, contrast, bias field, noise, blur and resolution. torch's seed rules them."""
    both = ["image", "label"]
    changes = mt.Compose(
        [
            mt.RandAffined(
                both,
                prob=1.0,
                spatial_size=recipe.patch_size,
                rotate_range=[np.pi / 12] * 3,
                scale_range=[0.15] * 3,
                shear_range=[0.05] * 3,
                translate_range=[4] * 3,
                mode=["bilinear", "nearest"],
                padding_mode="zeros",
            ),
            *(mt.RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in recipe.mirror_axes),
            mt.RandAdjustContrastd(["image"], prob=0.3, gamma=(0.7, 1.5)),
            mt.RandBiasFieldd(["image"], prob=0.15, coeff_range=(-0.2, 0.2)),
            mt.RandGaussianNoised(["image"], prob=0.3, std=0.15),
            mt.RandGaussianSmoothd(["image"], prob=0.2, sigma_x=(0.4, 1.0), sigma_y=(0.4, 1.0), sigma_z=(0.4, 1.0)),
            # Plain "nearest" would move the image by up to a voxel against its label.
            mt.RandSimulateLowResolutiond(["image"], prob=0.15, zoom_range=(0.5, 1.0), downsample_mode="nearest-exact"),
            mt.RandScaleIntensityd(["image"], factors=0.2, prob=0.5),
            mt.RandShiftIntensityd(["image"], offsets=0.2, prob=0.5),
        ]
    )
    return changes.set_random_state(seed=torch.initial_seed() % 2**32)


class CaseDataset(Dataset):
    """Prepared cases kept in memory, augmented anew at each access: {"image": [C, *patch], "label": [1, *patch]}."""

    def __init__(self, cases: list[Case], card: Card, recipe: Recipe) -> None:
        self.items = [prepare_case(case, card) for case in cases]
        self.augment = augmentation(recipe)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        image, label = self.items[index]
        item = self.augment({"image": image, "label": label})
        return {"image": torch.as_tensor(item["image"].as_tensor()), "label": torch.as_tensor(item["label"].as_tensor())}
