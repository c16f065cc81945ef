"""Whole scans synthesized from label maps, for the survey before a training and for validation cases without scans."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...datasets.cases import Case, Labeled, read_labelled
from ...datasets.label_reading import LabelReading, read_labels
from ...errors import InputError
from ...files import atomic_path, write_map
from ...files.nifti import write_nifti
from ...image import Image
from ...models import Channel
from .generator import Generator
from .settings import Synthesis

RAW = Channel("drawn", "OT", {"kind": "window", "window": [0.0, 1.0], "mean": 0.0, "std": 1.0})


def read_or_draw(case: Case, synthesis: Synthesis, seed: int) -> Labeled:
    """Scan and label map of a case: read, or if it has no scan synthesized on the grid of its label map, without deformation.

    The label map of a synthesized scan contains the learned labels. Unknown values stay, and are checked later.

    Raises:
        InputError: if a file cannot be read, or the label map has too many values for a label map.
    """
    if case.images:
        return read_labelled(case)
    label, notes = read_labels(case.label, case.reading)
    found = np.unique(label.voxels)
    if len(found) > np.iinfo(np.uint8).max:
        msg = f"{label.name} has {len(found)} different values, too many for a label map; give whole numbers, 0 for background."
        raise InputError(msg)
    learned = np.array([synthesis.learned_as.get(value, value) for value in found.tolist()])
    # The generator needs the number 0 for voxels beyond the map, whether the map contains 0 or not.
    numbers = np.searchsorted(found, label.voxels[0]).astype(np.uint8) + (found[0] != 0)
    is_learned = np.array([*([0] if found[0] != 0 else []), *(learned != 0)]).astype(np.uint8)
    still = replace(synthesis, steps=(1, 1, 1), rotation_degrees=0.0, scaling=(1.0, 1.0), shear=0.0, translation_mm=0.0, elastic_mm=0.0)
    generator = Generator(still, is_learned, np.arange(len(is_learned)), np.arange(len(is_learned)), tuple(label.spacing), RAW)
    rng = np.random.default_rng([seed, zlib.crc32(case.id.encode())])
    middle = (np.array(label.shape) + 1) / 2
    image, _ = generator.scan(np.pad(numbers, 1), middle, label.shape, rng)
    scan = Image(image[None], label.affine, f"the drawn scan of {case.id}")
    return Labeled(scan, Image(learned[np.searchsorted(found, label.voxels)], label.affine, label.name), notes)


def write_drawn(cases: Sequence[Case], synthesis: Synthesis, seed: int, folder: Path) -> dict[str, Case]:
    """Synthesize a scan for each case without one into a folder, except those that are there already. Returns the new cases by their ids.

    Raises:
        InputError: if a label map cannot be read.
        OutputError: if a file cannot be written.
    """
    drawn = {}
    for case in cases:
        if case.images:
            continue
        parts = [str(case.label), case.label.stat().st_mtime_ns, synthesis.document, seed, *case.reading.settings]
        place = folder / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        scan, label = (place / name / f"{case.id}.nii.gz" for name in ("images", "labels"))
        if not (scan.is_file() and label.is_file()):
            image, learned, _ = read_or_draw(case, synthesis, seed)
            for path in (scan, label):
                path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(label) as temporary:
                write_nifti(temporary, learned.voxels[0].astype(np.int32), learned.affine)
            write_map(image, scan)
        drawn[case.id] = Case(case.id, (scan,), label, LabelReading(ignored_label=case.reading.ignored_label))
    return drawn
