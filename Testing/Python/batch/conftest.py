"""Good and bad scans, a tiny model, and what a batch of them left; and one scan with its results."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from AttentionSegLib.batch import BatchResult, CaseResult, segment_case
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from batch_runs import GOOD, batch
from batch_scans import write_scan
from case_files import ENDINGS, REGION
from poses import OBLIQUE, PERMUTED, affine_around
from tiny_models import intensity_model, save_unet


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


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(intensity_model(), "cpu")


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    voxels = np.random.default_rng(0).uniform(0, 150, (1, 16, 14, 12))
    path = tmp_path_factory.mktemp("scans") / "Kopf ä 1.nii.gz"
    write_map(Image(voxels, affine_around((20, -30, 40), (16, 14, 12), OBLIQUE @ PERMUTED, (1, 1.2, 0.9))), path)
    return path


@pytest.fixture(scope="module")
def results(predictor, scan, tmp_path_factory) -> dict[str, CaseResult]:
    """By format. Both lie in a folder that was not there before."""
    folder = tmp_path_factory.mktemp("results")
    return {name: segment_case(predictor, [scan], folder / "new" / name, REGION, file_format=name) for name in ENDINGS}
