"""Throughput of a batch beside a plain loop of the same work, and its memory after 50 and after all cases.

    python Testing/benchmarks/batch.py [--model ID] [--scans DIR] [--cases N] [--memory-cases N] [--repeats N] [--jobs N] [--threads N] [--json FILE]

The loop reads, predicts and writes one case after the other with one loaded `Predictor`. Both write the same files, load the model themselves and
take turns; the order of cases is the same. Without --scans, scans of noise of the model's region are made.
"""

from __future__ import annotations

import argparse
import gc
import re
import sys
import tempfile
from functools import partial
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

import numpy as np
import torch
from AttentionSegLib.batch import segment_case, segment_folder
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import Card, find_model
from AttentionSegLib.models.card import CARD_NAME
from benchmarks.memory import is_linux
from benchmarks.table import Row, machine, markdown, write_rows
from benchmarks.timing import medians
from scipy.ndimage import gaussian_filter

FIRST = 50
# Of a model that takes whole scans.
WHOLE_MM = (120.0, 120.0, 120.0)
DISTINCT = 10


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    card = Card.load(find_model(options.model) / CARD_NAME)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        scans = sorted(options.scans.glob("*.nii*")) if options.scans else make_scans(root / "made", card)
        rows = [throughput(link(scans, root / "few", options.cases), root, options)]
        if is_linux():
            rows.append(memory(link(scans, root / "many", options.memory_cases), root, options))
    print(machine() + "\n")
    print(
        markdown(
            ["", "cases", "metric", "batch", "other", "ratio"], ([row.name, row.size, row.metric, row.ours, row.other, row.ratio] for row in rows)
        )
    )
    if options.json:
        write_rows(rows, options.json)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="hippocampus-mr-attention-unet", help="id of a model, or path of a model folder")
    parser.add_argument("--scans", type=Path, help="folder of .nii or .nii.gz scans, taken in turn")
    parser.add_argument("--cases", type=int, default=20, help="cases of a turn (default: 20)")
    parser.add_argument("--memory-cases", type=int, default=500, help=f"cases of the run whose memory is measured, more than {FIRST} (default: 500)")
    parser.add_argument("--repeats", type=int, default=3, help="turns that a median is taken of (default: 3)")
    parser.add_argument("--jobs", type=int, default=3, help="cases in work at one time (default: 3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    if options.memory_cases <= FIRST:
        parser.error(f"--memory-cases is {options.memory_cases}; give more than {FIRST}.")
    return options


def make_scans(folder: Path, card: Card) -> list[Path]:
    """Scans of smooth noise of the size of the model's region."""
    shape = np.ceil(np.array(card.region_size or WHOLE_MM) / card.spacing).astype(int)
    paths = [folder / f"noise{seed}.nii.gz" for seed in range(DISTINCT)]
    folder.mkdir()
    for seed, path in enumerate(paths):
        noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
        write_map(Image(noise[None], np.diag([*card.spacing, 1.0])), path)
    return paths


def link(scans: list[Path], folder: Path, count: int) -> Path:
    """A folder of so many cases: links to the scans in turn."""
    folder.mkdir()
    for number, scan in enumerate(islice(cycle(scans), count)):
        (folder / f"case{number:05}{''.join(scan.suffixes)}").symlink_to(scan.resolve())
    return folder


def throughput(scans: Path, root: Path, options: argparse.Namespace) -> Row:
    runs = [partial(batch, scans, root, options), partial(loop, scans, root, options)]
    seconds = medians(runs, options.repeats, torch.device("cpu"))
    return Row("batch against a plain loop", str(options.cases), "seconds a case", *(value / options.cases for value in seconds))


def batch(scans: Path, root: Path, options: argparse.Namespace, on_progress: object = None) -> None:
    with tempfile.TemporaryDirectory(dir=root) as output:
        segment_folder(scans, output, options.model, jobs=options.jobs, device=options.device, backend=options.backend, on_progress=on_progress)


def loop(scans: Path, root: Path, options: argparse.Namespace) -> None:
    predictor = Predictor(options.model, options.device, options.backend)
    with tempfile.TemporaryDirectory(dir=root) as output:
        for scan in sorted(scans.iterdir()):
            segment_case(predictor, [scan], Path(output) / scan.name)


def memory(scans: Path, root: Path, options: argparse.Namespace) -> Row:
    """Resident memory after all cases beside that after the first 50."""
    seen: dict[int, float] = {}

    def look(_fraction: float, stage: str, _left: float | None) -> None:
        found = re.match(r"case (\d+) of", stage)
        if found:
            seen[int(found[1]) - 1] = resident_megabytes()

    batch(scans, root, options, look)
    after = max(number for number in seen)
    first = min(number for number in seen if number >= FIRST)
    return Row(f"memory after {after} cases against {first}", str(options.memory_cases), "resident MB", seen[after], seen[first])


def resident_megabytes() -> float:
    gc.collect()
    return 1024 * int(re.search(r"^VmRSS:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)[1]) / 1e6


if __name__ == "__main__":
    main()
