"""Rows of position attention for one voxel, computed from the queries and keys that a prediction keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..image import Image
from .parts import affine_from

if TYPE_CHECKING:
    from torch import Tensor

    from ..networks.position_attention import PositionFeatures

# The working grid may end a quarter of a voxel before the scan does; positions beyond belong to its last voxel.
BEYOND = 0.26
# Number of patches from which the most informative map is chosen.
MEASURED_PATCHES = 4


@dataclass(frozen=True, eq=False)
class _Patch:
    """A patch of the working grid, its first voxel and its size, with the features of each map."""

    first: np.ndarray
    size: np.ndarray
    features: dict[str, PositionFeatures]


class Probe:
    """Rows of the position attention of a prediction.

        looked_at = prediction.probe.row((26, -24, -13))

    Position attention compares the voxels of one patch (of one slice, for 2D networks), so a row covers the patch whose center is nearest to the
    voxel. Queries and keys of each scale's last step are kept, in half precision: a row is right to about 1 % of its largest value.

    Args:
        strides: working voxels per voxel of each map, along each axis.
    """

    def __init__(self, strides: dict[str, tuple[int, ...]] | None = None) -> None:
        self._strides = strides or {}
        self._patches: list[_Patch] = []
        self._affine, self._field = np.eye(4), np.zeros((3, 2))
        self._telling: str | None = None

    @property
    def names(self) -> list[str]:
        """The position maps that have rows, finest scale first."""
        return sorted(self._patches[0].features) if self._patches else []

    @property
    def most_telling(self) -> str:
        """The position map whose rows depend most on the query voxel: rows that are the same for every voxel carry no information. Measured once."""
        if self._telling is None:
            information = self.information()
            self._telling = max(information, key=information.__getitem__)
        return self._telling

    def information(self) -> dict[str, float]:
        """How much the rows of each position map depend on the query voxel, over a few patches (see `networks.position_attention`)."""
        step = max(1, -(-len(self._patches) // MEASURED_PATCHES))
        return {name: sum(patch.features[name].information() for patch in self._patches[::step]) for name in self.names}

    def keep(self, positions: dict[str, PositionFeatures], windows: Sequence[tuple[slice, ...]]) -> None:
        """Keep the features of a batch of patches.

        Args:
            positions: of the network's output, by name; the batch of each counts the patches or, for 2D networks, their slices (one each).
            windows: where the patches lie in the working grid.
        """
        if not positions:
            return
        for index, window in enumerate(windows):
            first, last = np.array([(part.start, part.stop) for part in window]).T
            kept = {name: _of_one(positions[name], index, (last - first) // self._strides[name]) for name in _last_steps(positions)}
            self._patches.append(_Patch(first, last - first, kept))

    def place(self, affine: np.ndarray, field: Sequence[tuple[int, int]]) -> None:
        """Set the affine of the working grid, voxel indices to RAS mm, and along each axis the first and one past the last voxel beside padding."""
        self._affine, self._field = affine, np.array(field)

    def covers(self, ras: Sequence[float]) -> bool:
        """Whether a place, RAS mm, is in the part of the scan that was segmented."""
        low, high = self._field.T - 0.5
        voxel = self._voxel(ras)
        return bool(((voxel >= low - BEYOND) & (voxel <= high + BEYOND)).all())

    def row(self, ras: Sequence[float], name: str | None = None) -> Image:
        """The attention of the voxel at a place to all others of its patch.

        Args:
            ras: the place in mm, in the RAS of the input.
            name: the position map; the most informative one when left out.

        Returns:
            [1, I, J, K] float32 on the map's grid over one patch, at least 0, with the sum 1.

        Raises:
            InputError: if the prediction has no such position map, or the place is outside the part that was segmented.
        """
        name = self._known(name)
        if not self.covers(ras):
            msg = f"The place ({', '.join(f'{c:.0f}' for c in ras)}) is outside what was segmented; choose one inside."
            raise InputError(msg)
        voxel = self._voxel(ras)
        patch = min(self._patches, key=lambda patch: np.linalg.norm(voxel - patch.first - (patch.size - 1) / 2))
        stride = np.array(self._strides[name])
        position = np.clip((voxel - patch.first + 0.5) // stride, 0, patch.size // stride - 1).astype(int)
        values = patch.features[name].row(position)
        affine = affine_from(self._affine, patch.first + (stride - 1) / 2) @ np.diag([*stride, 1.0])
        return Image(values.numpy()[None], affine, f"{name} probe")

    def _voxel(self, ras: Sequence[float]) -> np.ndarray:
        return np.linalg.solve(self._affine, [*ras, 1.0])[:3]

    def _known(self, name: str | None) -> str:
        if name is None and self.names:
            return self.most_telling
        if name not in self.names:
            msg = f"The prediction keeps no rows of '{name}'; choose {', '.join(self.names)}." if self.names else _NONE
            raise InputError(msg)
        return name


class ProbeOfRegions(Probe):
    """The probes of several regions as one: a place belongs to the region that contains it, or, of two, to the one with the nearer center.

    Args:
        probes: of the regions.
        centers: of the regions, RAS mm.
    """

    def __init__(self, probes: Sequence[Probe], centers: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self._probes, self._centers = list(probes), np.array(centers, dtype=float)

    @property
    def names(self) -> list[str]:
        return self._probes[0].names

    def information(self) -> dict[str, float]:
        information = [probe.information() for probe in self._probes]
        return {name: sum(one[name] for one in information) for name in self.names}

    def covers(self, ras: Sequence[float]) -> bool:
        return any(probe.covers(ras) for probe in self._probes)

    def row(self, ras: Sequence[float], name: str | None = None) -> Image:
        by_distance = np.argsort(np.linalg.norm(self._centers - np.asarray(ras, dtype=float), axis=1), kind="stable")
        nearest = next((self._probes[number] for number in by_distance if self._probes[number].covers(ras)), self._probes[by_distance[0]])
        return nearest.row(ras, name)


def _last_steps(names: Iterable[str]) -> list[str]:
    """For each scale the map of its last step: `position_scale1_step2` of `position_scale1_step1` and `position_scale1_step2`."""
    return list({name.rpartition("_step")[0]: name for name in sorted(names)}.values())


def _of_one(features: PositionFeatures, index: int, grid: np.ndarray) -> PositionFeatures:
    """The features of one patch of a batch, without those of the padding that the network adds to a patch that is too small."""
    part = tuple(slice(int(n)) for n in grid)

    def kept(values: Tensor) -> Tensor:
        return values[index].unflatten(0, features.size)[part].flatten(0, -2)[None].cpu().half()

    return replace(features, queries=kept(features.queries), keys=kept(features.keys), size=tuple(int(n) for n in grid))


_NONE = "The prediction has no position attention to probe; use a guided-attention model and ask for its position maps."
