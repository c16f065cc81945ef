"""Scans for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from dicom_series import directions_of, positions_of, write_series

SHAPE = (16, 14, 12)


def write_scan(path: Path, seed: int, top: float = 150) -> Path:
    """A scan of noise in which the intensity model finds all labels; with a lower top only some."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_map(Image(np.random.default_rng(seed).uniform(0, top, (1, *SHAPE)), np.eye(4)), path)
    return path


def write_dicom(folder: Path, seed: int, **tags: Any) -> np.ndarray:
    """A DICOM series of noise; gives its voxels. Series in one folder have different file names."""
    voxels = np.random.default_rng(seed).integers(0, 150, (6, 5, 4), np.int16)
    axial = directions_of("axial")
    for path in write_series(folder / "new", voxels, positions_of(4, axial), axial, **tags):
        path.rename(folder / f"{seed}_{path.name}")
    (folder / "new").rmdir()
    return voxels
