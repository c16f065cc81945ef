"""Peak extra memory of a run: the most that existed at one time, less what was there before it.

On a GPU torch counts it (`torch.cuda.max_memory_allocated`). On the CPU each run has a process of its own, and Linux keeps the peak of its
resident memory (VmHWM, put back to the present by `clear_refs`). This is what the machine has to have, and unlike torch's own count it has in it
what oneDNN and OpenVINO allocate. OpenVINO's count has what it keeps of the network in it, but not what converting and loading it takes for a
moment. On the CPU of other systems than Linux memory is not measured.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Callable

import torch
from benchmarks.timing import Run

PROCESS = Path("/proc/self")


def peak_extra_megabytes(prepare: Callable[[], Run], device: torch.device) -> float | None:
    """Peak extra memory of a run in MB (10^6 bytes); None on the CPU of a system other than Linux.

    Args:
        prepare: makes the run ready. On the CPU it is called in the new process, so it has to be picklable; what it leaves behind is not counted.
        device: where the run computes.
    """
    if device.type == "cuda":
        return _on_gpu(prepare())
    if not is_linux():
        return None
    # The server imports torch once; each process then starts from it, untouched by any run before.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "monai.networks.nets"])
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(peak_of_this_process, prepare, torch.get_num_threads()).result()


def forget_peak() -> None:
    """Let the peak of this process start from what it holds now; on Linux alone."""
    if is_linux():
        gc.collect()
        # Else glibc keeps what was freed, and a run takes its memory from there unseen.
        ctypes.CDLL(None).malloc_trim(0)
        (PROCESS / "clear_refs").write_text("5")


def is_linux() -> bool:
    return sys.platform.startswith("linux")


def _on_gpu(run: Run) -> float:
    run()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def peak_of_this_process(prepare: Callable[[], Run], threads: int) -> float:
    """`peak_extra_megabytes` on Linux' CPU, in a process where nothing else happens meanwhile."""
    torch.set_num_threads(threads)
    run = prepare()
    forget_peak()
    before = _resident("VmRSS")
    run()
    return (_resident("VmHWM") - before) / 1e6


def _resident(which: str) -> int:
    """A line of /proc/self/status, in bytes."""
    return 1024 * int(re.search(rf"^{which}:\s*(\d+) kB", (PROCESS / "status").read_text(), re.MULTILINE)[1])
