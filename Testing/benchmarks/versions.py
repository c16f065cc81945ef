"""Another version of the code beside this one: time, memory and results of `segment` on one scan, and a batch beside a plain loop of the other.

    python Testing/benchmarks/versions.py --other CHECKOUT --scan CT.nii.gz [--scans DIR] [--cases N] [--threads N]

CHECKOUT is a work tree of this repository at another commit (`git worktree add CHECKOUT COMMIT`). Each version is a process of its own with its own
models, which are converted for OpenVINO before. Files are what is read and written, whether or not something is computed meanwhile. The loop of the
other version reads, segments and writes one case after the other with one loaded `Predictor`; the loading of the model counts in both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

import numpy as np
import torch
from AttentionSegLib.files.scan import read_label_layers
from benchmarks.batch import link
from benchmarks.table import machine, markdown

THIS = Path(__file__).resolve().parents[2]
# Arguments: a file for the seconds and the largest memory, and those of the command.
SEGMENT = """
import json, resource, sys, time
from AttentionSegLib.batch import case
from AttentionSegLib.cli import main

spans = []

def timed(function):
    def run(*arguments, **options):
        start = time.monotonic()
        try:
            return function(*arguments, **options)
        finally:
            spans.append((start, time.monotonic()))
    return run

for name in ("read_images", "write_segmentation", "write_map"):
    setattr(case, name, timed(getattr(case, name)))
try:
    main(sys.argv[2:])
finally:
    seconds, end = 0.0, 0.0
    for start, stop in sorted(spans):
        seconds, end = seconds + max(0.0, stop - max(start, end)), max(end, stop)
    measured = {"files": seconds, "GB": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9}
    open(sys.argv[1], "w").write(json.dumps(measured))
"""
# Arguments: model, folder of scans, folder for results. A first run of one case imports and converts what the others need.
LOOP = """
import sys, time
from pathlib import Path
from AttentionSegLib.batch import segment_case
from AttentionSegLib.inference import Predictor

model, scans, output = sys.argv[1:]
scans = sorted(Path(scans).iterdir())
segment_case(Predictor(model, "cpu"), scans[:1], Path(output) / "first")
start = time.monotonic()
predictor = Predictor(model, "cpu")
for scan in scans:
    segment_case(predictor, [scan], Path(output) / scan.name)
print(time.monotonic() - start)
"""
BATCH = """
import sys, time
from pathlib import Path
from AttentionSegLib.batch import segment_case, segment_folder
from AttentionSegLib.inference import Predictor

model, scans, output = sys.argv[1:]
segment_case(Predictor(model, "cpu"), sorted(Path(scans).iterdir())[:1], Path(output) / "first")
start = time.monotonic()
segment_folder(scans, Path(output) / "all", model, device="cpu")
print(time.monotonic() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, required=True, help="work tree of the other version")
    parser.add_argument("--scan", type=Path, help="a scan to segment by both")
    parser.add_argument("--model", default="head-neck-ct-attention-unet", help="for the scan (default: %(default)s)")
    parser.add_argument("--scans", type=Path, help="folder of .nii or .nii.gz scans of a batch")
    parser.add_argument("--batch-model", default="hippocampus-mr-attention-unet", help="for the batch (default: %(default)s)")
    parser.add_argument("--cases", type=int, default=20, help="of the batch (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of each version")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    print(machine() + "\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if options.scan:
            of_scan(options, Path(folder))
        if options.scans:
            of_batch(options, Path(folder))


def of_scan(options: argparse.Namespace, root: Path) -> None:
    headings = ["`segment`", "first patch after, s", "done after, s", "network, s", "files, s", "beside these, s", "peak GB"]
    both = {"this version": THIS, "the other": options.other}
    print(markdown(headings, [[name, *segment(tree, options, root / name)] for name, tree in both.items()]) + "\n")
    print("\n".join(differences(*(root / name for name in both))) + "\n", flush=True)


def segment(tree: Path, options: argparse.Namespace, output: Path) -> list[float]:
    """Seconds until the network starts and in all, those of the network, of files and of the rest, and the largest memory in GB."""
    measured, first = output.with_suffix(".json"), None
    arguments = measured, "segment", options.scan, "--model", options.model, "--output", output, "--device", "cpu"
    start = time.monotonic()
    with subprocess.Popen(command(SEGMENT, *arguments), env=environment(tree), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while shown := os.read(process.stderr.fileno(), 1 << 16):
            if first is None and b"network" in shown:
                first = time.monotonic() - start
    if process.returncode:
        sys.exit(f"`segment` of {tree} failed.")
    seconds, found = time.monotonic() - start, json.loads(measured.read_text())
    (report,) = output.glob("*_report.json")
    network = json.loads(report.read_text())["seconds"]["network"]
    return [first, seconds, network, found["files"], seconds - network - found["files"], found["GB"]]


def differences(ours: Path, theirs: Path) -> list[str]:
    """A line for each segmentation and map that two folders of results have."""
    lines = []
    for path in sorted(ours.glob("*.nrrd")):
        first, second = (read_label_layers(folder / path.name).voxels for folder in (ours, theirs))
        if path.name.endswith(".seg.nrrd"):
            lines.append(f"- `{path.name}`: {np.count_nonzero(first != second)} of {first.size} voxels have another label")
        else:
            lines.append(f"- `{path.name}`: largest difference {np.abs(first - second).max():.1e}")
    return lines


def of_batch(options: argparse.Namespace, root: Path) -> None:
    scans = link(sorted(options.scans.glob("*.nii*")), root / "scans", options.cases)
    batch, loop = (
        float(run(tree, script, options.batch_model, scans, root / name)) / options.cases
        for name, tree, script in (("batch", THIS, BATCH), ("loop", options.other, LOOP))
    )
    print(markdown(["cases", "seconds a case, batch", "loop of the other version", "ratio"], [[options.cases, batch, loop, loop / batch]]))


def run(tree: Path, script: str, *arguments: object) -> str:
    """What a script that imports the code of a work tree prints."""
    return subprocess.run(command(script, *arguments), env=environment(tree), check=True, stdout=subprocess.PIPE, text=True).stdout


def command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", script, *map(str, arguments)]


def environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree.resolve() / "AttentionSeg")}


if __name__ == "__main__":
    main()
