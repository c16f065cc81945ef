"""The scene that tests work on."""

from __future__ import annotations

import slicer
from slicer_scene import new_scene


def test_a_new_scene_adds_no_second_set_of_converters(scene):
    rules = len(slicer.vtkSegmentationConverterFactory.GetInstance().GetConverterRules())
    new_scene()
    assert len(slicer.vtkSegmentationConverterFactory.GetInstance().GetConverterRules()) == rules > 0
