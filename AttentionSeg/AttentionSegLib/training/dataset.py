"""The patches of a training and their order, which depend on the recipe and the patch number only, and not on interruptions or processes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ..inference.slices import neighbors
from ..models import Card
from ..planning.grid import region_shift, shows_region
from .augmentation import STRENGTHS, intensity_changes
from .deformation import Beyond, Deformation, draw_deformation, take_patch
from .preparation import PreparedCase, PreparedFiles
from .recipe import Recipe

# Fraction of the labeled voxels that a patch of a region contains, if it is large enough.
SHOWN_SHARE = 0.75
# Fraction of the patches of regions whose scan is continued by its mirror image instead of 0: training cases end at the region, users' scans do not.
MIRRORED_SHARE = 0.5

Prepared = TypeVar("Prepared", bound=PreparedFiles)


class Patches(Dataset[dict[str, Tensor]], Generic[Prepared]):
    """Patches by their number in the training, which is not reset between epochs.

    An item is {"image": [C, *patch] float32, "label": [1, *patch] uint8}, with `IGNORED` for the ignore label. Every pass over the cases has an order
    of its own. Patches of models for regions are around the center of their scans, if they show these but for the random shift. Of other patches, a
    fraction `foreground_share` is taken around a voxel of a label and the rest anywhere, inside the scan if it is large enough.

    Args:
        cases: to train on.
        card: of the new model.
        recipe: settings.
    """

    def __init__(self, cases: Sequence[Prepared], card: Card, recipe: Recipe) -> None:
        self.cases, self.recipe, self.spacing = cases, recipe, card.spacing
        self.slice_axis, self.is_region = card.slice_axis, card.needs_region
        self.left_right = next(axis for axis, letter in enumerate(card.orientation) if letter in "LR")
        self.swapped = torch.arange(256, dtype=torch.uint8)
        for one, other in recipe.mirror_swaps:
            self.swapped[[one, other]] = torch.tensor([other, one], dtype=torch.uint8)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.recipe.seed, number])
        turn, place = divmod(number, len(self.cases))
        case = self.cases[_order(self.recipe.seed, turn, len(self.cases))[place]]
        image, label = self._patch(case, rng)
        for axis in self.recipe.mirror_axes:
            if rng.random() < 0.5:
                image, label = image.flip(axis + 1), label.flip(axis + 1)
                label = self.swapped[label.long()] if axis == self.left_right else label
        return {"image": self._changed(image, int(rng.integers(2**32))), "label": label}

    @abstractmethod
    def _patch(self, case: Prepared, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A patch of a case, before it is mirrored."""

    def _changed(self, image: Tensor, seed: int) -> Tensor:
        """The image of a patch with random changes of its intensities."""
        return image

    def _start(self, voxels: np.ndarray, shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not self._is_central(shape):
            return self._anywhere(voxels, shape, rng)
        most = region_shift(shape, self.spacing)
        start = (shape - self.recipe.patch_size) // 2 + rng.integers(-most, most + 1)
        if self.slice_axis is not None:
            start[self.slice_axis] = self._anywhere(voxels, shape, rng)[self.slice_axis]
        return start

    def _is_central(self, shape: np.ndarray) -> bool:
        """Whether patches lie around the center of a scan: for a region that these show completely, within their random shift."""
        return self.is_region and bool(shows_region(self.recipe.patch_size, shape, self.spacing)[np.arange(3) != self.slice_axis].all())

    def _anywhere(self, voxels: np.ndarray, shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        patch = np.array(self.recipe.patch_size)
        wanted = rng.integers(np.maximum(shape - patch, 0) + 1)
        if rng.random() < self.recipe.foreground_share and len(voxels):
            label = rng.choice(np.unique(voxels[:, 0]))
            wanted = rng.choice(voxels[voxels[:, 0] == label])[1:].astype(int) - patch // 2
        return np.where(shape > patch, np.clip(wanted, 0, np.maximum(shape - patch, 0)), (shape - patch) // 2)


class PatchDataset(Patches[PreparedCase]):
    """Augmented patches of scans.

    Those of models for regions contain most labeled voxels, and half of them continue with the mirror image of the scan beyond it. For 2D networks,
    slices of regions are chosen likewise, and C includes neighboring slices.
    """

    def __init__(self, cases: Sequence[PreparedCase], card: Card, recipe: Recipe) -> None:
        super().__init__(cases, card, recipe)
        self.strength, self.context = STRENGTHS[recipe.augmentation], card.context
        self.intensities = intensity_changes(self.strength, 3 if card.slice_axis is None else 2)

    def _patch(self, case: PreparedCase, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        patch, scan = self.recipe.patch_size, case.image
        start = self._start(case.label_voxels, np.array(scan.shape[1:]), rng)
        deformation = draw_deformation(self.strength, patch, self.spacing, rng)
        if self.slice_axis is None and self._is_central(np.array(scan.shape[1:])):
            start = _towards(case.label_voxels, start, np.array(patch), deformation)
        beyond: Beyond = "reflect" if self.is_region and rng.random() < MIRRORED_SHARE else "constant"
        image = torch.cat([take_patch(scan, place, patch, deformation, "bilinear", beyond) for place in self._seen(start, scan.shape[1:])])
        return image, take_patch(case.label, start, patch, deformation, "nearest").to(torch.uint8)

    def _seen(self, start: np.ndarray, shape: Sequence[int]) -> list[np.ndarray]:
        """Start indices of the patches that form one input: that of a volume, or those of a slice and its neighbors."""
        axis = self.slice_axis
        if axis is None:
            return [start]
        places = neighbors(torch.tensor(int(start[axis])), self.context, shape[axis])
        return [np.concatenate([start[:axis], [int(place)], start[axis + 1 :]]) for place in places]

    def _changed(self, image: Tensor, seed: int) -> Tensor:
        self.intensities.set_random_state(seed)
        if self.slice_axis is None:
            return self.intensities(image).as_tensor()
        # In 2D, because a single slice cannot be blurred or downsampled along its third axis.
        axis = self.slice_axis + 1
        return torch.stack([self.intensities(picture).as_tensor() for picture in image.unbind(axis)], axis)


def _towards(voxels: np.ndarray, start: np.ndarray, patch: np.ndarray, deformation: Deformation | None) -> np.ndarray:
    """The start of a patch, moved towards the center of the labeled voxels as far as needed to contain most of them."""
    if not len(voxels):
        return start
    points, half = voxels[:, 1:].astype(np.float64), (patch - 1) / 2
    to_patch = np.eye(3) if deformation is None else np.linalg.inv(deformation.matrix)
    moves = (np.rint(start + share * (points.mean(0) - half - start)).astype(int) for share in np.linspace(0, 1, 5))
    for moved in moves:
        offsets = (points - moved - half) @ to_patch.T
        if (np.abs(offsets) <= patch / 2).all(1).mean() >= SHOWN_SHARE:
            break
    return moved


@lru_cache(maxsize=4)
def _order(seed: int, turn: int, count: int) -> np.ndarray:
    """The order of the cases in pass number `turn`."""
    return np.random.default_rng([seed, turn, 1]).permutation(count)


class Place(Protocol):
    """Step of a training and rank of this process, such as a Lightning trainer."""

    @property
    def global_step(self) -> int: ...

    @property
    def global_rank(self) -> int: ...

    @property
    def world_size(self) -> int: ...


class StepSampler(Sampler[list[int]]):
    """Patch numbers of this process for each step of an epoch, from the current step of the training on.

    Args:
        batch_size: patches per step, over all processes; a multiple of their number.
        steps: per epoch.
        place: read at each iteration.
    """

    def __init__(self, batch_size: int, steps: int, place: Place) -> None:
        self.batch_size, self.steps, self.place = batch_size, steps, place

    def __iter__(self) -> Iterator[list[int]]:
        first, rank, processes = self.place.global_step, self.place.global_rank, self.place.world_size
        for step in range(first, (first // self.steps + 1) * self.steps):
            yield list(range(step * self.batch_size + rank, (step + 1) * self.batch_size, processes))

    def __len__(self) -> int:
        """Steps of a whole epoch; in a resumed one Lightning itself subtracts those that are done."""
        return self.steps


class CaseNumbers(Dataset[int]):
    """The numbers of cases themselves, for a step that reads the case."""

    def __getitem__(self, number: int) -> int:
        return number


class CaseSampler(Sampler[int]):
    """Numbers of the cases of this process, among `count`; all processes have the same number, so some cases may occur twice."""

    def __init__(self, count: int, place: Place) -> None:
        self.count, self.place = count, place

    def __iter__(self) -> Iterator[int]:
        rank, processes = self.place.global_rank, self.place.world_size
        return (number % self.count for number in range(rank, len(self) * processes, processes))

    def __len__(self) -> int:
        return -(-self.count // self.place.world_size)
