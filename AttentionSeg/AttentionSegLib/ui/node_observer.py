"""Observer of the nodes that the panel shows something about. Without Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import slicer
import vtk

if TYPE_CHECKING:
    Observed = tuple[slicer.vtkMRMLNode, list[int]]


class NodeObserver:
    """Observes a set of nodes for changes.

    Args:
        on_change: called whenever one of them has changed; it has to be fast, because dragging a node calls it often.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._observed: list[Observed] = []

    def follow(self, nodes: Iterable[slicer.vtkMRMLNode | None]) -> None:
        """Observe these nodes and no others."""
        wanted = [node for node in nodes if node is not None]
        for node, tags in self._observed:
            if node not in wanted:
                for tag in tags:
                    node.RemoveObserver(tag)
        kept = [(node, tags) for node, tags in self._observed if node in wanted]
        known = [node for node, _tags in kept]
        self._observed = kept + [(node, self._observe(node)) for node in wanted if node not in known]

    def _observe(self, node: slicer.vtkMRMLNode) -> list[int]:
        events = [vtk.vtkCommand.ModifiedEvent]
        if node.IsA("vtkMRMLTransformableNode"):
            events.append(slicer.vtkMRMLTransformableNode.TransformModifiedEvent)
        return [node.AddObserver(event, lambda *_event: self._on_change()) for event in events]
