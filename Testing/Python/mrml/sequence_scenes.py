"""Sequences of volumes with their browser, for the tests of this folder and of the panel."""

from __future__ import annotations

import numpy as np
import slicer
from scenes import SHAPE, make_volume


def noise(seed: int, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 150, shape).astype(np.float32)


def make_sequence(scene, frames: int, shape=SHAPE):
    """A sequence of `noise` whose frames are no nodes of the scene, with a browser at its first frame."""
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Beats")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for frame in range(frames):
        volume = make_volume(scene, voxels=noise(frame, shape))
        sequence.SetDataNodeAtValue(volume, f"{frame / 2:g}")
        display = volume.GetDisplayNode()
        scene.RemoveNode(volume)
        scene.RemoveNode(display)
    browser = scene.AddNode(slicer.vtkMRMLSequenceBrowserNode())
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    return sequence, browser
