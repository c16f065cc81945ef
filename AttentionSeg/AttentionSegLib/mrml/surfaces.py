"""Closed surfaces of segments in the 3D views, smoothed only as far as they keep their volumes."""

from __future__ import annotations

from collections.abc import Iterator

import slicer
import vtk

from .segmentations import BINARY_LABELMAP, CLOSED_SURFACE
from .voxels import view_voxels

SMOOTHING, JOINT_SMOOTHING, METHOD = "Smoothing factor", "Joint smoothing", "Conversion method"
FLYING_EDGES, SURFACE_NETS = "0", "1"
# From smooth to stepped, Slicer's default first. That shrinks thin structures: a spinal cord to a fiftieth of its volume. Flying edges cut off the
# corners of voxels, so that a structure a few voxels thick loses a tenth even without smoothing; surface nets do not.
TRIED = ((FLYING_EDGES, 0.5), (FLYING_EDGES, 0.3), (SURFACE_NETS, 0.3), (FLYING_EDGES, 0.1), (SURFACE_NETS, 0.1), (SURFACE_NETS, 0.0))
LARGEST_CHANGE = 0.05
# Iterations of moving a surface; two suffice for structures two voxels thick.
MOST_MOVES = 4


def show_surfaces(segmentation: slicer.vtkMRMLSegmentationNode) -> None:
    """Show the segments of a segmentation in the 3D views.

    The smoothest setting is used with which every segment keeps its volume within 5 %. If there is none, the setting with the smallest change is
    used, and the surfaces that it changes by more are moved along their normals until they enclose the volume. The setting is stored in the
    segmentation, so that later edits are shown with it too.
    """
    with slicer.util.NodeModify(segmentation):
        inner = segmentation.GetSegmentation()
        if inner.GetSourceRepresentationName() == BINARY_LABELMAP:
            _convert(inner)
        else:
            segmentation.CreateClosedSurfaceRepresentation()
        segmentation.CreateDefaultDisplayNodes()
        display = segmentation.GetDisplayNode()
        display.SetPreferredDisplayRepresentationName3D(CLOSED_SURFACE)
        display.SetVisibility3D(True)


def hide_surfaces(segmentation: slicer.vtkMRMLSegmentationNode) -> None:
    """Remove the surfaces, so that edits need not update them; segments that consist of surfaces only are just hidden."""
    if segmentation.GetSegmentation().GetSourceRepresentationName() == CLOSED_SURFACE:
        segmentation.GetDisplayNode().SetVisibility3D(False)
    else:
        segmentation.RemoveClosedSurfaceRepresentation()


def has_surfaces(segmentation: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether surfaces are shown in the 3D views."""
    display = segmentation.GetDisplayNode()
    return display is not None and bool(display.GetVisibility3D()) and segmentation.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)


def surface_volumes(segmentation: slicer.vtkSegmentation) -> dict[str, float]:
    """Volume in mm3 inside the surface of each segment, by id; 0 without a surface."""
    return {segment_id: _enclosed(segment.GetRepresentation(CLOSED_SURFACE)) for segment_id, segment in _segments(segmentation)}


def voxel_volumes(segmentation: slicer.vtkSegmentation) -> dict[str, float]:
    """Volume in mm3 of the voxels of each segment, by id."""
    return {segment_id: _filled(segment) for segment_id, segment in _segments(segmentation)}


def _convert(segmentation: slicer.vtkSegmentation) -> None:
    segmentation.SetConversionParameter(JOINT_SMOOTHING, "0")
    has_methods = segmentation.GetConversionParameter(METHOD) != ""
    expected = {segment_id: volume for segment_id, volume in voxel_volumes(segmentation).items() if volume > 0}
    changes: dict[tuple[str, float], float] = {}
    for setting in (one for one in TRIED if has_methods or one[0] != SURFACE_NETS):
        _make(segmentation, *setting)
        found = surface_volumes(segmentation)
        changes[setting] = max((abs(found[segment_id] / volume - 1) for segment_id, volume in expected.items()), default=0.0)
        if changes[setting] <= LARGEST_CHANGE:
            return
    best = min(changes, key=changes.__getitem__)
    if best != setting:
        _make(segmentation, *best)
    for segment_id, volume in expected.items():
        _restore_volume(segmentation.GetSegment(segment_id), volume)


def _make(segmentation: slicer.vtkSegmentation, method: str, factor: float) -> None:
    segmentation.SetConversionParameter(METHOD, method)
    segmentation.SetConversionParameter(SMOOTHING, str(factor))
    segmentation.CreateRepresentation(CLOSED_SURFACE, True)


def _restore_volume(segment: slicer.vtkSegment, volume: float) -> None:
    """Move the surface of a segment along its normals, by fractions of a voxel, until it encloses a volume in mm3."""
    for _ in range(MOST_MOVES):
        surface = segment.GetRepresentation(CLOSED_SURFACE)
        measured = _measured(surface)
        if measured is None or abs(measured.GetVolume() / volume - 1) <= LARGEST_CHANGE:
            return
        normals = vtk.vtkPolyDataNormals()
        normals.SetInputData(surface)
        normals.SplittingOff()
        normals.ConsistencyOn()
        normals.AutoOrientNormalsOn()
        moved = vtk.vtkWarpVector()
        moved.SetInputConnection(normals.GetOutputPort())
        moved.SetInputArrayToProcess(0, 0, 0, vtk.vtkDataObject.FIELD_ASSOCIATION_POINTS, "Normals")
        moved.SetScaleFactor((volume - measured.GetVolume()) / measured.GetSurfaceArea())
        moved.Update()
        surface.DeepCopy(moved.GetOutput())


def _segments(segmentation: slicer.vtkSegmentation) -> Iterator[tuple[str, slicer.vtkSegment]]:
    for segment_id in segmentation.GetSegmentIDs():
        yield segment_id, segmentation.GetSegment(segment_id)


def _enclosed(surface: vtk.vtkPolyData | None) -> float:
    measured = _measured(surface)
    return 0.0 if measured is None else measured.GetVolume()


def _measured(surface: vtk.vtkPolyData | None) -> vtk.vtkMassProperties | None:
    """A filter with volume and area of a surface; None without a surface."""
    if surface is None or surface.GetNumberOfPolys() == 0:
        return None
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(surface)
    measured = vtk.vtkMassProperties()
    measured.SetInputConnection(triangles.GetOutputPort())
    measured.Update()
    return measured


def _filled(segment: slicer.vtkSegment) -> float:
    labelmap = segment.GetRepresentation(BINARY_LABELMAP)
    if labelmap is None or labelmap.GetPointData().GetScalars() is None:
        return 0.0
    spacing = labelmap.GetSpacing()
    return float((view_voxels(labelmap) == segment.GetLabelValue()).sum() * spacing[0] * spacing[1] * spacing[2])
