"""AttentionSeg.py loaded as the application loads it, and how to wait in the application's event loop."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import slicer

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# A test that imports this file is skipped with it.
pytest.importorskip("PySide6", reason="PySide6 is not installed", exc_type=ImportError)
import stand_ins

APPLICATION = stand_ins.install()
MODULE = Path(__file__).resolve().parents[3] / "AttentionSeg" / "AttentionSeg.py"


@contextmanager
def loaded_module(scene, monkeypatch):
    stand_ins.install_module_bases()
    does_nothing = dict.fromkeys(("connect", "pauseRender", "resumeRender"), lambda *_: None)
    monkeypatch.setattr(slicer, "app", SimpleNamespace(majorVersion=5, minorVersion=12, **does_nothing), raising=False)
    monkeypatch.setattr(slicer.util, "loadUI", lambda path: stand_ins.load_ui(Path(path)), raising=False)
    monkeypatch.setattr(slicer.util, "childWidgetVariables", stand_ins.child_widgets, raising=False)
    scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    spec = importlib.util.spec_from_file_location("AttentionSegModule", MODULE)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    yield loaded
    for name in ("slicer.ScriptedLoadableModule", "slicer.i18n"):
        del sys.modules[name]


def first_widget(module_widget):
    return stand_ins.Wrapped(module_widget.layout.target.itemAt(0).widget())


def let_run(until, at_most=60):
    end = time.monotonic() + at_most
    while not until():
        assert time.monotonic() < end, "it did not end"
        APPLICATION.processEvents()
