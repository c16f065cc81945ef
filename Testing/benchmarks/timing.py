"""Times of several ways to do the same thing, side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Callable

import torch

Run = Callable[[], object]


def medians(runs: Sequence[Run], repeats: int, device: torch.device) -> list[float]:
    """Median seconds of each run.

    They take turns (A B A B ...), so that what else the machine does falls on all alike. A first turn is not counted.

    Args:
        runs: what to measure.
        repeats: turns that count, 1 or more.
        device: where they compute; a GPU has its own clock.
    """
    clock = _on_gpu if device.type == "cuda" else _on_cpu
    turns = [[clock(run) for run in runs] for _ in range(repeats + 1)]
    return [median(seconds) for seconds in zip(*turns[1:])]


def _on_cpu(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _on_gpu(run: Run) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000
