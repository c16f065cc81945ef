"""Good and bad scans, a tiny model, and what a batch of them left."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from AttentionSegLib.batch import BatchResult
from batch_runs import GOOD, batch
from batch_scans import write_scan
from tiny_models import save_unet


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_unet(tmp_path_factory.mktemp("models") / "tiny", id="tiny-unet")


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for seed, name in enumerate(GOOD.values()):
        write_scan(folder / name, seed)
    (folder / "empty.nii").write_bytes(b"")
    (folder / "text.nii.gz").write_text("This is no scan. " * 40)
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 5, 5, 3), np.float32), np.eye(4)), folder / "four.nii.gz")
    return folder


@pytest.fixture(scope="module")
def unbroken(scans, model, tmp_path_factory) -> BatchResult:
    return batch(scans, tmp_path_factory.mktemp("unbroken"), model)


@pytest.fixture
def finished(scans, unbroken, tmp_path) -> tuple[Path, Path]:
    """Scans and results of a finished run, to be changed."""
    for folder, name in ((scans, "scans"), (unbroken.folder, "results")):
        shutil.copytree(folder, tmp_path / name)
    return tmp_path / "scans", tmp_path / "results"
