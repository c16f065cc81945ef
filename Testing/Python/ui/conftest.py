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
    """A folder with Attention U-Nets `tiny-unet` and, of mirrored scans, `tiny-mirrored`, and a guided-attention model `tiny-guided`."""
    from scenes import SPACING
    from tiny_models import save_guided, save_unet

    folder = tmp_path_factory.mktemp("models")
    # A scan is then one patch.
    grid = {"spacing_mm": SPACING.tolist(), "patch_size": [16, 16, 16]}
    save_unet(folder / "tiny-unet", id="tiny-unet", title="Tiny U-Net", **grid)
    save_unet(folder / "tiny-mirrored", id="tiny-mirrored", title="Tiny mirrored", training={"mirror_axes": [0], "mirror_swaps": [[1, 2]]}, **grid)
    save_guided(folder / "tiny-guided", id="tiny-guided", title="Tiny guided", **grid)
    return folder


@pytest.fixture(autouse=True)
def models(model_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("ATTENTIONSEG_MODELS", str(model_folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    # OpenVINO would convert a network for seconds, in every test anew.
    monkeypatch.setenv("ATTENTIONSEG_BACKEND", "torch")
    return model_folder


@pytest.fixture
def app(scene):
    """A presenter with its doubles around it; many tests have one of their own."""
    from doubles import Application

    return Application(scene)


@pytest.fixture
def module(scene, monkeypatch):
    """The module's file, loaded as the application loads it; for tests that import `loaded_module`."""
    from loaded_module import loaded_module

    with loaded_module(scene, monkeypatch) as module:
        yield module


@pytest.fixture
def logic(module):
    made = module.AttentionSegLogic()
    yield made
    made.stop()


@pytest.fixture
def widget(module):
    from loaded_module import first_widget

    made = module.AttentionSegWidget()
    made.setup()
    yield made
    made.cleanup()
    first_widget(made).setMRMLScene(None)
