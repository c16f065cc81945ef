"""Connected components of a label: their number, and the removal of all but the largest. Voxels that touch at a corner are connected.

Components are found among the runs of a label along the lines of the array, so time and memory depend on the surface of the label, and not on the
size of the scan around it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Voxels, and runs, that are looked at at a time.
PIECE, RUNS = 1 << 22, 1 << 20


class _Runs(NamedTuple):
    """Runs of a label along the axis whose voxels are next to each other in memory.

    Positions count the voxels of an array that has an empty voxel at the end of each line, and an empty line at the end of each plane, so that what
    is next to each other by position is so in space.

    Attributes:
        first, last: position of the first voxel and of the one after the last, ascending.
        lines, planes: positions from one line, or plane, to the next.
    """

    first: np.ndarray
    last: np.ndarray
    lines: int
    planes: int


def count_components(labels: np.ndarray, value: int) -> int:
    """The number of components of a label in labels [I, J, K]."""
    return _components(_runs(_in_memory_order(labels), value))[0]


def keep_largest(labels: np.ndarray, value: int | None) -> None:
    """Replace a label, or all of them taken as one for None, by 0 in labels [I, J, K], except for its largest component.

    Of equal ones the first in memory stays.
    """
    labels = _in_memory_order(labels)
    runs = _runs(labels, value)
    count, component = _components(runs)
    if count < 2:
        return
    lost = component != np.bincount(component, runs.last - runs.first).argmax()
    place = _ranges(runs.first[lost], runs.last[lost])[1]
    labels[place // runs.planes, place % runs.planes // runs.lines, place % runs.lines] = 0


def _in_memory_order(labels: np.ndarray) -> np.ndarray:
    return labels.transpose(np.argsort(labels.strides)[::-1])


def _runs(labels: np.ndarray, value: int | None) -> _Runs:
    lines = labels.shape[2] + 1
    planes = lines * (labels.shape[1] + 1)
    ends = [np.empty(0, np.int64)]
    step = max(1, PIECE // planes)
    for start in range(0, len(labels), step):
        part = labels[start : start + step]
        # With a voxel before the first.
        padded = np.zeros(len(part) * planes + 1, bool)
        found = padded[1:].reshape(len(part), -1, lines)[:, :-1, :-1]
        np.not_equal(part, 0, out=found) if value is None else np.equal(part, value, out=found)
        ends.append(np.flatnonzero(padded[1:] != padded[:-1]) + start * planes)
    places = np.concatenate(ends)
    return _Runs(places[::2].copy(), places[1::2].copy(), lines, planes)


def _components(runs: _Runs) -> tuple[int, np.ndarray]:
    """The number of components, and the component of each run."""
    # Imported here because they are slow.
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(runs.first)
    component, links, waiting = np.arange(count, dtype=np.int32), [], 0
    pieces = [(step, start) for step in _steps(runs) for start in range(0, count, RUNS)]
    for number, (step, start) in enumerate(pieces, start=1):
        first, last = (ends[start : start + RUNS] + step for ends in (runs.first, runs.last))
        run, touched = _ranges(np.searchsorted(runs.last, first), np.searchsorted(runs.first, last, "right"))
        links.append((component[start + run], component[touched]))
        waiting += len(run)
        # Few links are merged together, because each time takes a millisecond.
        if waiting > RUNS or number == len(pieces):
            one, other = map(np.concatenate, zip(*links))
            graph = coo_matrix((np.ones(waiting, bool), (one, other)), shape=(count, count))
            count, merged = connected_components(graph, directed=False)
            component, links, waiting = merged[component], [], 0
    return count, component


def _steps(runs: _Runs) -> tuple[int, int, int, int]:
    """From a line to the four of its eight neighbors that come after it."""
    return runs.lines, runs.planes - runs.lines, runs.planes, runs.planes + runs.lines


def _ranges(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers from `first` to before `last` of all pairs in a row, and before them the number of the pair of each."""
    counts = last - first
    pair = np.repeat(np.arange(len(counts)), counts)
    return pair, np.arange(len(pair)) + (first - np.cumsum(counts) + counts)[pair]
