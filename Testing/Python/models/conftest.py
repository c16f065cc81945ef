"""A model, also as one file, and a home of its own to take it into."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from AttentionSegLib.models import export_model
from model_folders import make_folder
from packed_models import PNG


@pytest.fixture
def home(tmp_path, monkeypatch):
    if sys.platform in ("win32", "darwin"):
        pytest.skip("the user's folder is moved by XDG_DATA_HOME on Linux only")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ATTENTIONSEG_MODELS", "")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model with everything that one may have."""
    made = make_folder(tmp_path / "my model", id="model-a")
    (made / "thumbnail.png").write_bytes(PNG)
    (made / "LICENSE").write_text("CC BY-SA 4.0", encoding="utf-8")
    (made / "README.md").write_text("Größe", encoding="utf-8")
    return made


@pytest.fixture
def packed(folder, tmp_path) -> Path:
    return export_model(folder, tmp_path / "model.zip")
