"""Tiny models that the command line finds, a scan, and a place for its results."""

from __future__ import annotations

from pathlib import Path

import pytest
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from command_line import AFFINE, noise
from tiny_models import save_unet


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_unet(folder / "tiny", id="tiny-unet", title="A tiny model")
    save_unet(folder / "mirrored", id="tiny-mirrored", training={"mirror_axes": [0], "mirror_swaps": [[1, 2]]})
    return folder


@pytest.fixture(autouse=True)
def installed(models, monkeypatch):
    monkeypatch.setenv("ATTENTIONSEG_MODELS", str(models))


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scans") / "head.nii.gz"
    write_map(Image(noise(), AFFINE), path)
    return path


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "results"
