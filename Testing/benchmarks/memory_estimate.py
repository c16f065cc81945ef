"""The estimated peak of main memory of `attentionseg segment` on the CPU beside the measured one, in processes of their own.

    python Testing/benchmarks/memory_estimate.py --shape 512 512 400 --spacing 0.8 0.8 1 --working 4 --labels 6

The model is an Attention U-Net of 8 to 64 channels with random weights. Measured is the largest resident memory of the process on Linux.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING.parent / "AttentionSeg"), str(TESTING / "Python")]

NETWORK = {"name": "attention-unet", "arguments": {"spatial_dims": 3, "channels": [8, 16, 32, 64], "norm": "instance"}}
# Written by the process about itself when it ends.
SEGMENT = """
import resource, sys
from AttentionSegLib.cli import main
code = main(sys.argv[1:])
print("peak", 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def save_random_model(folder: Path, labels: int, working: float) -> None:
    import torch
    from AttentionSegLib.models import save_model
    from AttentionSegLib.networks import build_network
    from builders import make_card_document

    first = make_card_document()["labels"][0]
    entries = [{**first, "value": value, "name": f"Label {value}", "color": [value, 255 - value, 100]} for value in range(1, labels + 1)]
    changes = {"network": NETWORK, "labels": entries, "spacing_mm": [working] * 3, "patch_size": [64, 64, 64], "overlap": 0.25, "postprocessing": {}}
    torch.manual_seed(0)
    save_model(folder, make_card_document(**changes), build_network("attention-unet", 1, labels + 1, NETWORK["arguments"]))


def write_scan(path: Path, shape: list[int], spacing: list[float]) -> None:
    from AttentionSegLib.files.nifti import write_nifti

    coarse = np.random.default_rng(0).normal(100, 50, [n // 8 + 1 for n in shape]).astype(np.int16)
    scan = np.kron(coarse, np.ones((8, 8, 8), np.int16))[tuple(slice(n) for n in shape)]
    write_nifti(path, scan, np.diag([*spacing, 1.0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, required=True, help="voxels of the scan")
    parser.add_argument("--spacing", type=float, nargs=3, default=[1.0, 1.0, 1.0], help="of the scan in mm")
    parser.add_argument("--working", type=float, default=2.0, help="spacing of the model in mm")
    parser.add_argument("--labels", type=int, default=2, help="of the model")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model, scan = Path(name) / "model", Path(name) / "scan.nii.gz"
        save_random_model(model, given.labels, given.working)
        write_scan(scan, given.shape, given.spacing)
        words = ["segment", str(scan), "--model", str(model), "--output", str(Path(name) / "out"), "--device", "cpu", "--backend", "torch"]
        run = subprocess.run([sys.executable, "-c", SEGMENT, *words], cwd=TESTING.parent / "AttentionSeg", check=True, capture_output=True, text=True)

        from AttentionSegLib.inference.memory_estimate import GIGABYTE, estimated_bytes
        from AttentionSegLib.models import load_model
        from AttentionSegLib.options import RunOptions

        estimate = estimated_bytes(load_model(model).card, given.shape, given.spacing, RunOptions()) / GIGABYTE
    measured = float(run.stdout.split("peak")[-1]) / GIGABYTE
    size = " x ".join(map(str, given.shape))
    print(f"| {size} | {given.working:g} mm | {given.labels} | {estimate:.2f} GB | {measured:.2f} GB | {estimate / measured:.2f} |")


if __name__ == "__main__":
    main()
