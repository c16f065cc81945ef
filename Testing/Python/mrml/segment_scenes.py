"""Segmentations made of given masks, for the tests of this folder and of the panel."""

from __future__ import annotations

import numpy as np
import slicer
import vtk


def add_segment(node, name, mask, affine):
    """Add a segment in a layer of its own; `mask` is bool [I, J, K], `affine` leads from its indices to the own RAS of the node."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(mask.shape)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())[:] = mask.ravel(order="F")
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(affine))
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetLabelValue(1)
    segment.AddRepresentation("Binary labelmap", image)
    node.GetSegmentation().AddSegment(segment)
    return node


def make_segmentation(scene, masks, affine, name="Reference"):
    """A segmentation of the masks by their names, each bool [I, J, K]."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    for segment, mask in masks.items():
        add_segment(node, segment, np.asarray(mask), affine)
    return node
