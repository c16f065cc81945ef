"""What a cohort takes: cases per hour on one and two Dask workers, and from that what 10 000 and 1 000 000 scans need: scaling.md.

    python Testing/benchmarks/scaling.py [--run MODEL=SCANS ...] [--cases N]

SCANS is a folder of .nii or .nii.gz scans, taken in turn; without it, scans of noise of the model's region are made. Each worker is a process of its
own with one thread, and its model is loaded before the clock starts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

import numpy as np
from AttentionSegLib.batch import BatchResult, segment_folder
from AttentionSegLib.files import write_text
from AttentionSegLib.models import Card, find_model
from AttentionSegLib.models.card import CARD_NAME
from benchmarks.batch import link, make_scans
from benchmarks.table import machine, markdown
from distributed import LocalCluster

PAGE = Path(__file__).with_name("scaling.md")
PACKAGES = Path(__file__).resolve().parents[2] / "AttentionSeg"
MODEL = "hippocampus-mr-attention-unet"
WORKERS = (1, 2)
# So many scans in so many hours.
COHORTS = {"10 000 scans in a night": (10_000, 12), "1 000 000 scans in a month": (1_000_000, 30 * 24)}
STAGES = {"reading": ("hash", "read"), "network": ("prepare", "network", "restore", "finish"), "writing": ("write",)}
RUNS = """The manifest is written by the one process that hands out the cases: a line of about a kilobyte a case, each brought to the disk before the
next. The page of a run has a row a case, with small pictures for the first thousand. So give a run no more than some ten thousand scans, and a larger
cohort a folder of results for each ten thousand."""


@dataclass(frozen=True)
class Case:
    """What a case of a model takes, on average.

    Attributes:
        hourly: cases per hour, by the number of workers.
        seconds: of reading, network and writing in one worker.
        read, written: MB.
        files: written.
    """

    model: str
    count: int
    hourly: dict[int, float]
    seconds: dict[str, float]
    read: float
    written: float
    files: float

    @property
    def work(self) -> float:
        """Seconds of one worker."""
        return sum(self.seconds.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="append", metavar="MODEL=SCANS", help=f"a model and a folder of scans (default: {MODEL} and noise)")
    parser.add_argument("--cases", type=int, default=20, help="cases of a measurement (default: 20)")
    options = parser.parse_args()
    os.environ.update(PYTHONPATH=str(PACKAGES), OMP_NUM_THREADS="1")
    cases = [measure(*(run.split("=", 1) if "=" in run else (run, None)), options.cases) for run in options.run or [MODEL]]
    names = " ".join(f"--run {case.model}" + ("=scans" if options.run else "") for case in cases)
    command = f"python Testing/benchmarks/scaling.py {names} --cases {options.cases}"
    write_text(PAGE, "\n\n".join(page(cases, command)) + "\n")
    print(PAGE)


def measure(model: str, scans: str | None, count: int) -> Case:
    card = Card.load(find_model(model) / CARD_NAME)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        found = sorted(Path(scans).glob("*.nii*")) if scans else make_scans(root / "made", card)
        # As many as there are workers, so that each has loaded its model.
        warm, cohort = link(found, root / "warm", 2 * max(WORKERS)), link(found, root / "scans", count)
        hourly = {}
        for workers in WORKERS:
            with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
                segment_folder(warm, root / f"warm{workers}", model, scheduler=cluster.scheduler_address)
                start = time.monotonic()
                done = segment_folder(cohort, root / f"done{workers}", model, scheduler=cluster.scheduler_address)
                hourly[workers] = 3600 * count / (time.monotonic() - start)
            if workers == 1:
                alone = done
        return Case(model, count, hourly, *averages(alone))


def averages(done: BatchResult) -> tuple[dict[str, float], float, float, float]:
    """Of the cases of a run: seconds by stage, MB read, MB written, files."""
    entries = list(done.entries.values())
    seconds = {stage: float(np.mean([sum(entry.seconds.get(part, 0) for part in parts) for entry in entries])) for stage, parts in STAGES.items()}
    # A scan is read twice: to hash it, and to segment it; the second time it comes from memory.
    read = np.mean([sum(Path(path).stat().st_size for path in entry.inputs) for entry in entries]) / 1e6
    written = np.mean([sum(entry.outputs.values()) for entry in entries]) / 1e6
    return seconds, float(read), float(written), float(np.mean([len(entry.outputs) for entry in entries]))


def page(cases: Sequence[Case], command: str) -> list[str]:
    measured = [
        [
            f"`{case.model}`",
            *(f"{case.hourly[workers]:.0f}" for workers in WORKERS),
            case.hourly[2] / case.hourly[1],
            *case.seconds.values(),
            case.read,
            case.written,
        ]
        for case in cases
    ]
    headings = ["model", "cases an hour, 1 worker", "2 workers", "ratio", "seconds reading", "network", "writing", "MB read", "MB written"]
    return [
        "# Scaling",
        f"Made by `{command}` on {machine()}. {cases[0].count} cases each; a worker is a process with one thread, without a GPU.",
        markdown(headings, measured),
        "## What cohorts take",
        "By arithmetic from the table, with workers as measured alone:",
        *(f"`{case.model}`:\n\n" + cohorts(case) for case in cases),
        "## What the bottleneck is",
        *(bottleneck(case) for case in cases),
        RUNS,
    ]


def cohorts(case: Case) -> str:
    rows = []
    for name, (scans, hours) in COHORTS.items():
        rate = scans / (3600 * hours)
        rows.append(
            [
                name,
                f"{scans * case.work / 3600:,.0f}",
                f"{np.ceil(rate * case.work):.0f}",
                f"{scans * case.read / 1e3:,.0f}",
                f"{scans * case.written / 1e3:,.0f}",
                f"{rate * (case.read + case.written):.2g}",
                f"{scans * case.files:,.0f}",
            ]
        )
    return markdown(["cohort", "worker hours", "workers", "GB read", "GB written", "MB/s to and from storage", "files"], rows)


def bottleneck(case: Case) -> str:
    stage = max(case.seconds, key=case.seconds.get)
    beside = case.seconds["reading"] + case.seconds["writing"]
    moved = (case.read + case.written) / case.work
    return (
        f"`{case.model}`: {stage}, {100 * case.seconds[stage] / case.work:.0f} % of a worker's time. It is not the storage: a worker moves "
        f"{moved:.2g} MB/s. With a network that takes no time at all, a core would still read and write no more than {3600 / beside:,.0f} cases an "
        f"hour: a GPU that computes a case in t seconds keeps {beside:.2g} / t cores busy beside it (`--nthreads`, or several workers for a GPU)."
    )


if __name__ == "__main__":
    main()
