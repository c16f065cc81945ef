"""The fixture `scene`: a real MRML scene for every test, without the application."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
vtk = pytest.importorskip("vtk", reason="vtk is not installed")


@pytest.fixture
def scene() -> Iterator[slicer.vtkMRMLScene]:
    """A scene with the logics that Slicer has. A VTK error or warning during the test fails it."""
    from slicer_scene import new_scene

    scene = new_scene()
    with _vtk_complaints() as complaints:
        yield scene
    assert not complaints, complaints


@contextmanager
def _vtk_complaints() -> Iterator[list[str]]:
    """What VTK prints, because its errors and warnings do not raise."""
    complaints: list[str] = []
    window = vtk.vtkOutputWindow.GetInstance()

    @vtk.calldata_type(vtk.VTK_STRING)
    def note(_caller: vtk.vtkObject, event: str, text: str) -> None:
        complaints.append(f"{event}: {text}")

    tags = [window.AddObserver(event, note) for event in ("ErrorEvent", "WarningEvent")]
    try:
        yield complaints
    finally:
        for tag in tags:
            window.RemoveObserver(tag)
