"""Tests of the panel on real MRML scenes, with tiny models."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mrml_scene import scene

sys.path.append(str(Path(__file__).resolve().parents[1] / "mrml"))

__all__ = ["scene"]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A folder with an Attention U-Net `tiny-unet` and a guided-attention model `tiny-guided`."""
    from tiny_models import save_guided, save_unet

    folder = tmp_path_factory.mktemp("models")
    save_unet(folder / "tiny-unet", id="tiny-unet", title="Tiny U-Net")
    save_guided(folder / "tiny-guided", id="tiny-guided", title="Tiny guided", patch_size=[16, 16, 16])
    return folder


@pytest.fixture(autouse=True)
def models(model_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("ATTENTIONSEG_MODELS", str(model_folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return model_folder
