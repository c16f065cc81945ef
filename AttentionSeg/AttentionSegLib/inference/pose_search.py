"""Search for the pose of a template in a scan: positions on a grid, some rotations and some scales are compared at a few thousand points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

# Spacing of the positions that are tried in mm, their distance from the edges of the scan, and their largest number.
PLACES_MM, EDGE_MM, MOST_PLACES = 16.0, 30.0, 1500
TURN_DEGREES, SIZES = 25.0, (0.85, 1.0)
# A pose in which the scan contains a smaller share of the template's points is not tried; from the second share on, its score is not reduced.
LEAST_INSIDE, ENOUGH_INSIDE = 0.35, 0.8
# Poses count as different from this many mm, or degrees, on.
APART_MM, APART_DEGREES = 24.0, 17.0


@dataclass(frozen=True, eq=False)
class Pose:
    """A pose: the template's center at `place`, rotated by `turn` and scaled by `size`.

    Attributes:
        place: physical mm of the scan [3].
        turn: rotation vector: direction of the axis, length the angle in radians [3].
        size: scale factor.
    """

    place: np.ndarray
    turn: np.ndarray
    size: float

    @property
    def linear(self) -> np.ndarray:
        """The matrix [3, 3] from offsets in the template to offsets in the scan (Rodrigues' formula)."""
        angle = float(np.linalg.norm(self.turn))
        x, y, z = self.turn / angle if angle else np.zeros(3)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        return self.size * (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)

    def is_like(self, other: Pose) -> bool:
        near = np.linalg.norm(self.place - other.place) <= APART_MM
        return bool(near and np.linalg.norm(self.turn - other.turn) <= np.radians(APART_DEGREES))


class Lookup:
    """Nearest-neighbor lookup of many positions in a volume at a time; NaN beyond its edges.

    Args:
        values: [I, J, K] float32.
        to_index: 4x4, physical mm to voxel indices.
    """

    AT_A_TIME = 500_000

    def __init__(self, values: np.ndarray, to_index: np.ndarray) -> None:
        self._to_index = to_index
        self._values = np.pad(values, 1, constant_values=np.nan)

    def scores(self, places: np.ndarray, offsets: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """For each place the correlation of the volume at `place + offsets` with the reference [offsets], -1..1.

        Reduced where the volume contains few of the points, and -inf where it contains too few.
        """
        linear = self._to_index[:3, :3].T
        # To the nearest voxel; + 1 because of the padding before the first.
        starts = (places @ linear + self._to_index[:3, 3] + 1.5).astype(np.float32)
        steps = (offsets @ linear).astype(np.float32)
        rows = max(1, self.AT_A_TIME // len(offsets))
        return np.concatenate([_correlations(self._at(starts[row : row + rows, None] + steps), reference) for row in range(0, len(starts), rows)])

    def _at(self, index: np.ndarray) -> np.ndarray:
        i, j, k = np.moveaxis(np.clip(index, 0, np.array(self._values.shape, np.float32) - 1).astype(np.intp), -1, 0)
        return self._values[i, j, k]


def best_poses(
    lookup: Lookup, corners: np.ndarray, offsets: np.ndarray, reference: np.ndarray, count: int, on_step: Callable[[float], None]
) -> list[Pose]:
    """The best poses that differ from each other, at most `count`, best first; none if the scan contains too little of the template everywhere.

    Args:
        lookup: the scan, smoothed.
        corners: of the scan, physical mm [8, 3].
        offsets: points of the template relative to its center, mm [points, 3].
        reference: values of the template at these points.
        count: largest number of poses.
        on_step: called with the fraction done, 0..1.
    """
    places = _places(corners)
    turns = [np.zeros(3), *(sign * np.radians(TURN_DEGREES) * axis for axis in np.eye(3) for sign in (1, -1))]
    tried: list[tuple[float, Pose]] = []
    for number, turn in enumerate(turns):
        for size in SIZES:
            scores = lookup.scores(places, offsets @ Pose(places[0], turn, size).linear.T, reference)
            tried += [(float(score), Pose(place, turn, size)) for score, place in zip(scores, places) if np.isfinite(score)]
        on_step((number + 1) / len(turns))
    tried.sort(key=lambda one: -one[0])
    chosen: list[Pose] = []
    for _, pose in tried:
        if not any(pose.is_like(other) for other in chosen):
            chosen.append(pose)
        if len(chosen) == count:
            break
    return chosen


def _places(corners: np.ndarray) -> np.ndarray:
    low, high = corners.min(0), corners.max(0)
    margin = np.minimum(EDGE_MM, (high - low) / 2)
    low, high = low + margin, high - margin
    step = max(PLACES_MM, float(np.cbrt(np.prod(high - low + PLACES_MM) / MOST_PLACES)))
    axes = [a + (b - a) % step / 2 + step * np.arange(int((b - a) // step) + 1) for a, b in zip(low, high)]
    return np.array(list(product(*axes)))


def _correlations(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    count = np.maximum(there.sum(-1), 1)
    first, second = np.where(there, values, 0), np.where(there, reference, 0)
    mean, other = first.sum(-1) / count, second.sum(-1) / count
    spread = ((first**2).sum(-1) / count - mean**2) * ((second**2).sum(-1) / count - other**2)
    result = ((first * second).sum(-1) / count - mean * other) / np.sqrt(np.maximum(spread, 1e-12))
    share = count / reference.size
    return np.where(share >= LEAST_INSIDE, result * np.sqrt(np.minimum(1, share / ENOUGH_INSIDE)), -np.inf)
