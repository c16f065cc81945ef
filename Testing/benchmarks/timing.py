"""Times of several ways to do the same thing, side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Callable

import torch

Run = Callable[[], object]


def medians(runs: Sequence[Run], repeats: int, device: torch.device, of_processor: bool = False) -> list[float]:
    """Median seconds of each run.

    They take turns (A B A B ...), so that what else the machine does falls on all alike. A first turn is not counted.

    Args:
        runs: what to measure.
        repeats: turns that count, 1 or more.
        device: where they compute; a GPU has its own clock.
        of_processor: whether to count the time of the processor in all threads, which depends little on what else the machine does; for the CPU.
    """
    clock = _on_gpu if device.type == "cuda" else partial(_on_cpu, clock=time.process_time if of_processor else time.perf_counter)
    turns = [[clock(run) for run in runs] for _ in range(repeats + 1)]
    return [median(seconds) for seconds in zip(*turns[1:])]


def _on_cpu(run: Run, clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return clock() - start


def _on_gpu(run: Run) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000
