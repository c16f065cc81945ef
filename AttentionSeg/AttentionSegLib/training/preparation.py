"""Preparation of labeled scans: resampled to the working grid and stored in files from which the training reads patches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import Tensor

from ..datasets.case_files import file_stamps
from ..datasets.cases import Case, read_labelled
from ..errors import InputError, OutputError
from ..files.requirements import MOST_LABELS
from ..image import Image
from ..inference.checks import check_input
from ..inference.preprocessing import prepare, working_grid
from ..inference.resampling import sample, voxel_map
from ..models import Card
from ..same_grid import place_on
from ..writing import atomic_folder

# The ignore label in prepared label maps.
IGNORED = MOST_LABELS + 1
# Number of voxels stored for each label of a scan, evenly spread, to take patches around.
VOXELS_PER_LABEL = 2000
# float16 ends at 65504.
LARGEST = 6e4
# Increased when earlier prepared files become unusable.
FORMAT = 1

# cases done, cases in all
OnCase = Optional[Callable[[int, int], None]]


@dataclass(frozen=True)
class PreparedFiles:
    """Arrays of a case in memory-mapped files, whose cached pages all processes share.

    Attributes:
        id: of the case.
        folder: where its files are.
    """

    id: str
    folder: Path

    @property
    def label_voxels(self) -> np.ndarray:
        """[N, 4] uint16: value of a trained label and voxel, up to `VOXELS_PER_LABEL` of each label."""
        return np.load(self.folder / "label_voxels.npy")

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir())


class PreparedCase(PreparedFiles):
    """A case on its working grid."""

    @property
    def image(self) -> np.ndarray:
        """Normalized intensities [C, I, J, K] float16."""
        return np.load(self.folder / "image.npy", mmap_mode="r")

    @property
    def label(self) -> np.ndarray:
        """Label values [1, I, J, K] uint8, `IGNORED` for the ignore label."""
        return np.load(self.folder / "label.npy", mmap_mode="r")


def prepare_cases(cases: Sequence[Case], card: Card, ignored_label: int | None, folder: Path, on_case: OnCase = None) -> list[PreparedCase]:
    """Prepare cases, except those that are in the folder already.

    A case takes 2 bytes per working voxel and channel, and 1 for the label. It is prepared again if one of its files or the card's inputs, grid or
    number of labels have changed.

    Args:
        cases: labeled scans.
        card: of the new model.
        ignored_label: the ignore label of the label maps.
        folder: for the prepared cases; made if it does not exist.
        on_case: called before each case.

    Raises:
        InputError: if a case cannot be used (see `prepare_case`).
        OutputError: if the folder cannot be written.
    """
    prepared = []
    for done, case in enumerate(cases):
        if on_case is not None:
            on_case(done, len(cases))
        place = folder / _key(case, card, ignored_label)
        if not place.is_dir():
            image, label = prepare_case(case, card, ignored_label)
            voxels = image.clamp(-LARGEST, LARGEST).half().numpy()
            write_arrays(place, {"image": voxels, "label": label.numpy(), "label_voxels": label_voxels_of(label[0].numpy())})
        prepared.append(PreparedCase(case.id, place))
    return prepared


def prepare_case(case: Case, card: Card, ignored_label: int | None = None) -> tuple[Tensor, Tensor]:
    """Read a case and resample it to its working grid, without padding to whole patches.

    Returns:
        The normalized image [C, I, J, K] float32, and the label values [1, I, J, K] uint8.

    Raises:
        InputError: if a file cannot be read, scan and label map are not on one grid (see `read_labelled`), the model cannot be used on the scan, or
            the map contains values that are neither labels of the card nor ignored.
    """
    image, label, _ = read_labelled(case)
    check_input(image, None, card)
    unknown = sorted(set(np.unique(label.voxels).tolist()) - {*range(len(card.labels) + 1), ignored_label})
    if unknown:
        msg = (
            f"Case {case.id}: the label map holds {unknown}, which the card does not name; correct the map, or start again with a plan with "
            "these labels (--restart, or another work folder)."
        )
        raise InputError(msg)
    grid = working_grid(image, None, card, (1, 1, 1), (1, 1, 1))
    return prepare(image, None, grid, card), on_grid(label, grid.affine, grid.shape, ignored_label)


def on_grid(label: Image, affine: np.ndarray, shape: tuple[int, int, int], ignored_label: int | None) -> Tensor:
    """The label value [1, *shape] uint8 with the largest fraction of each voxel of a grid; `IGNORED` for the ignore label.

    Computed value by value, because the fractions of many labels would not fit into memory at once.
    """
    placement = place_on(label, Image(np.broadcast_to(np.uint8(0), (1, *shape)), affine))
    if placement is not None and placement.is_exact and placement.covers(label.shape, shape):
        whole = placement.rearrange(label.voxels, shape)
        return torch.from_numpy(np.where(whole == ignored_label, IGNORED, whole).astype(np.uint8))
    matrix = voxel_map(affine, label.affine)
    largest = torch.zeros((1, *shape))
    result = torch.zeros((1, *shape), dtype=torch.uint8)
    for value in np.unique(label.voxels):
        share = sample(torch.from_numpy((label.voxels == value).astype(np.float32)), matrix, shape)
        result[share > largest] = IGNORED if value == ignored_label else int(value)
        largest = torch.maximum(largest, share)
    return result


def _key(case: Case, card: Card, ignored_label: int | None) -> str:
    files = file_stamps((*case.images, case.label))
    parts = [card.raw["inputs"], card.spacing, card.orientation, len(card.labels), ignored_label, *case.reading.settings]
    if case.rescale:
        parts.append("HU + 1024")
    if card.slices is not None:
        # The grid depends on them.
        parts += [card.slices, card.context]
    return hashlib.sha256(json.dumps([FORMAT, files, parts]).encode()).hexdigest()[:32]


def write_arrays(place: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the files of a case into a folder, all or none. Raises OutputError if they cannot be written."""
    try:
        with atomic_folder(place) as temporary:
            for name, array in arrays.items():
                np.save(temporary / f"{name}.npy", array)
    except OutputError:
        # If several machines share the folder, another one may have been first.
        if not place.is_dir():
            raise


def label_voxels_of(label: np.ndarray) -> np.ndarray:
    """[N, 4] uint16: label value and voxel, up to `VOXELS_PER_LABEL` of each label of a map [I, J, K], evenly spread."""
    found = [np.empty((0, 4), np.uint16)]
    for value in np.setdiff1d(label, [0, IGNORED]):
        voxels = np.flatnonzero(label == value)
        spread = voxels[np.linspace(0, len(voxels) - 1, min(len(voxels), VOXELS_PER_LABEL)).astype(int)]
        found.append(np.column_stack([np.full(len(spread), value), *np.unravel_index(spread, label.shape)]).astype(np.uint16))
    return np.concatenate(found)
