"""Damaged scans by the thousand: what reading them does, in a table.

    python Testing/robustness.py [--count 1000] [--seed 1] [--keep FOLDER]

Writes small scans in every format, changes bytes, numbers and lengths of each at random, and reads each in a process of its own. Printed is, for
each format, how many were refused in one sentence, read with all voxels as they were (the damage was in what nobody reads), read with other voxels or
in another place (where the format has no checksum that could tell), and what must not be: crashes, tracebacks, more than 10 s or 500 MB. The exit
code is 0 when there is none of these. Files that did what must not be are kept in FOLDER.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import re
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK

sys.path.insert(0, str(Path(__file__).resolve().parent / "Python"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "AttentionSeg"))
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image

ENDINGS = ("nii", "nii.gz", "nrrd", "raw.nrrd", "mha", "raw.mha", "mhd", "dicom", "mgz", "nifti.hdr", "analyze.hdr")
KINDS = ("header bytes", "data bytes", "cut off", "longer", "a number", "zeros")
OUTCOMES = ("refused", "the same", "other voxels", "another place", "crash", "traceback", "slow", "memory")
BAD = OUTCOMES[4:]
SHAPE = (20, 24, 16)
# Of computing; other programs may take the processor, and a reader that waits is stopped after PATIENCE times as long.
SECONDS, MEGABYTES, PATIENCE = 10, 500, 6
HEADER_BYTES = 400
NUMBERS = (b"0", b"-1", b"nan", b"1e300", b"4294967296", b"99999999999999999999", b"", b"3.7")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="damaged files in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the damages (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="where to keep the files that did what must not be")
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    table: dict[str, collections.Counter] = {ending: collections.Counter() for ending in ENDINGS}
    with tempfile.TemporaryDirectory() as folder:
        sound = {ending: write_sound(Path(folder) / "sound", ending) for ending in ENDINGS}
        for number in range(options.count):
            ending = ENDINGS[number % len(ENDINGS)]
            case = Path(folder) / f"case{number}"
            shutil.copytree(sound[ending].parent, case)
            kind = damage(case, sound[ending].name, random)
            outcome = outcome_of(case / sound[ending].name if ending != "dicom" else case, sound[ending])
            table[ending][outcome] += 1
            if outcome in BAD:
                print(f"case {number}, {ending}, {kind}: {outcome}", flush=True)
                if options.keep is not None:
                    shutil.copytree(case, options.keep / f"{outcome}-{number}-{ending}", dirs_exist_ok=True)
            shutil.rmtree(case)
    print("| format | " + " | ".join(OUTCOMES) + " |\n" + "|---" * (len(OUTCOMES) + 1) + "|")
    for ending, counted in table.items():
        print(f"| {ending} | " + " | ".join(str(counted[outcome]) for outcome in OUTCOMES) + " |")
    return 1 if any(counted[outcome] for counted in table.values() for outcome in BAD) else 0


def write_sound(folder: Path, ending: str) -> Path:
    """A scan of smooth noise, alone in a folder; of DICOM, one of its slices."""
    folder = folder / ending
    folder.mkdir(parents=True)
    voxels = np.random.default_rng(0).normal(100, 40, SHAPE).astype(np.int16)
    if ending == "dicom":
        from dicom_series import directions_of, positions_of, write_series

        directions = directions_of("axial")
        return sorted(write_series(folder, voxels, positions_of(SHAPE[2], directions), directions))[0]
    if ending in ("mgz", "nifti.hdr", "analyze.hdr"):
        import nibabel

        kind = {"mgz": nibabel.MGHImage, "nifti.hdr": nibabel.Nifti1Pair, "analyze.hdr": nibabel.Spm99AnalyzeImage}[ending]
        path = folder / f"scan.{ending.split('.')[-1]}"
        nibabel.save(kind(voxels, np.diag([-1.2, 1.1, 1.5, 1])), path)
        return path
    path = folder / f"scan.{ending.removeprefix('raw.')}"
    image = SimpleITK.GetImageFromArray(voxels.T)
    image.SetSpacing([1.2, 1.1, 1.5])
    image.SetOrigin([-11, 7, 3])
    SimpleITK.WriteImage(image, str(path), not ending.startswith("raw") and ending != "mhd")
    return path


def damage(folder: Path, name: str, random: np.random.Generator) -> str:
    """Change one file of a scan, mostly the one that is named; returns how."""
    files = sorted(folder.iterdir())
    path = files[random.integers(len(files))] if random.random() < 0.5 else folder / name
    content, kind = bytearray(path.read_bytes()), KINDS[random.integers(len(KINDS))]
    if kind in ("header bytes", "data bytes"):
        low, high = (0, min(HEADER_BYTES, len(content))) if kind == "header bytes" else (min(HEADER_BYTES, len(content) - 1), len(content))
        for place in random.integers(low, high, random.integers(1, 9)):
            content[place] = random.integers(256)
    elif kind == "cut off":
        del content[random.integers(len(content)) :]
    elif kind == "longer":
        content += bytes(random.integers(0, 256, random.integers(1, 4000), dtype=np.uint8))
    elif kind == "zeros":
        first = random.integers(len(content))
        content[first : first + 200] = bytes(min(200, len(content) - first))
    else:
        numbers = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(content[:HEADER_BYTES])))
        if numbers:
            found = numbers[random.integers(len(numbers))]
            content[found.start() : found.end()] = NUMBERS[random.integers(len(NUMBERS))]
    path.write_bytes(bytes(content))
    return f"{kind} of {path.name}"


def outcome_of(path: Path, sound: Path) -> str:
    """What comes of reading a scan in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        reader = multiprocessing.get_context("fork").Process(target=read, args=(path, sound, result))
        reader.start()
        reader.join(PATIENCE * SECONDS)
        if reader.is_alive():
            reader.kill()
            reader.join()
            return "slow"
        if reader.exitcode != 0 or not result.exists():
            return "crash"
        return json.loads(result.read_text())


def read(path: Path, sound: Path, result: Path) -> None:
    reference = read_image(sound.parent if not sound.suffix else sound)
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        image = read_image(path)
    except InputError:
        outcome = "refused"
    except Exception:  # noqa: BLE001 (what is counted here)
        outcome = "traceback"
    else:
        same = image.voxels.shape == reference.voxels.shape and np.array_equal(image.voxels, reference.voxels)
        there = np.allclose(image.affine, reference.affine, atol=1e-4)
        outcome = "the same" if same and there else "other voxels" if not same else "another place"
    if time.process_time() - begin > SECONDS:
        outcome = "slow"
    elif resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > MEGABYTES * 1024:
        outcome = "memory"
    result.write_text(json.dumps(outcome))


if __name__ == "__main__":
    sys.exit(main())
