"""Conversion between Slicer's nodes and the engine's images and predictions. Only this package and `ui` import slicer or vtk."""

from .publish import PublishedNodes, publish
from .regions import region_from_roi
from .segmentations import publish_segmentation
from .volumes import image_from_volumes

__all__ = ["PublishedNodes", "image_from_volumes", "publish", "publish_segmentation", "region_from_roi"]
