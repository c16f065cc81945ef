"""The panel's settings, stored in a parameter node and saved with the scene."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import slicer


class _Value:
    """A setting stored as JSON in a parameter of the node; the default if it is missing or cannot be read."""

    def __init__(self, default: Any) -> None:
        self._default = default

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, settings: Settings, _owner: type | None = None) -> Any:
        text = settings.node.GetParameter(self._name)
        try:
            value = json.loads(text) if text else self._default
        except ValueError:
            return self._default
        return value if isinstance(value, type(self._default)) or self._default is None else self._default

    def __set__(self, settings: Settings, value: Any) -> None:
        settings.node.SetParameter(self._name, json.dumps(value))


class _Node:
    """A node of the scene, stored as a node reference, which survives renaming, saving and import into another scene."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, settings: Settings, _owner: type | None = None) -> slicer.vtkMRMLNode | None:
        return settings.node.GetNodeReference(self._name)

    def __set__(self, settings: Settings, node: slicer.vtkMRMLNode | None) -> None:
        settings.node.SetNodeReferenceID(self._name, None if node is None else node.GetID())


class _Nodes:
    """Nodes of the scene, stored as node references; deleted nodes are left out."""

    def __init__(self, role: str) -> None:
        self._role = role

    def __get__(self, settings: Settings, _owner: type | None = None) -> list[slicer.vtkMRMLNode]:
        count = settings.node.GetNumberOfNodeReferences(self._role)
        nodes = (settings.node.GetNthNodeReference(self._role, index) for index in range(count))
        return [node for node in nodes if node is not None]

    def __set__(self, settings: Settings, nodes: Sequence[slicer.vtkMRMLNode]) -> None:
        settings.node.RemoveNodeReferenceIDs(self._role)
        for node in nodes:
            settings.node.AddNodeReferenceID(self._role, node.GetID())


class Settings:
    """The panel's settings.

    `model_chosen` and `volume_chosen` are True if the user chose, and not the panel. `maps` are those of the last result,
    `reference` is the segmentation to compare it with, `train_segmentations` are those of the ticked pairs.

    Args:
        node: the module's parameter node.
    """

    model = _Value("")
    model_chosen = _Value(False)
    volume_chosen = _Value(False)
    device = _Value("auto")
    memory_limit = _Value(0.0)
    overlap = _Value(-1.0)
    all_frames = _Value(False)
    rescale = _Value(False)
    mirroring = _Value(False)
    keep_probabilities = _Value(False)
    attention = _Value("all")
    opacity = _Value(0.5)
    threshold = _Value(0.2)
    statistics = _Value([])
    batch_input = _Value("")
    batch_output = _Value("")
    train_images = _Value("")
    train_labels = _Value("")
    train_output = _Value("")
    train_network = _Value("attention-unet")
    train_slices = _Value("")
    train_context = _Value(0)
    train_title = _Value("")
    train_license = _Value("")
    train_hours = _Value(3.0)
    train_results = _Value(False)
    region = _Node()
    segmentation = _Node()
    colors = _Node()
    result_segmentation = _Node()
    result_volume = _Node()
    reference = _Node()
    maps = _Nodes("map")
    train_segmentations = _Nodes("trainSegmentation")

    def __init__(self, node: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.node = node

    def input(self, channel: int) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The volume chosen for a channel, counted from 0."""
        return self.node.GetNodeReference(f"input{channel}")

    def set_input(self, channel: int, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        self.node.SetNodeReferenceID(f"input{channel}", None if node is None else node.GetID())
