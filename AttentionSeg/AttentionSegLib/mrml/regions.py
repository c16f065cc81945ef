"""A region of interest that the user drew, as the engine's region."""

from __future__ import annotations

import numpy as np
import slicer

from ..errors import InputError
from ..region import Region
from .transforms import linear_between
from .voxels import matrix_from_vtk


def region_from_roi(roi_node: slicer.vtkMRMLMarkupsROINode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> Region:
    """The box that Slicer shows for an ROI, in the own RAS of a volume (its parent transform not applied).

    Raises:
        InputError: if there is no ROI, it has no size yet, it or the volume is under a transform that is not linear,
            or the volume's transform shears, so that the box is none in the volume's own RAS.
    """
    if roi_node is None or not roi_node.IsA("vtkMRMLMarkupsROINode"):
        msg = "No region was given; draw a markups ROI around the structure."
        raise InputError(msg)
    name = roi_node.GetName()
    size = np.array(roi_node.GetSize())
    if (size <= 0).any():
        msg = f"The region {name} has no size yet; draw it around the structure."
        raise InputError(msg)
    to_volume = linear_between(None, volume_node)
    if to_volume is None or linear_between(roi_node, None) is None:
        msg = f"The region {name} or the volume {volume_node.GetName()} is under a transform that is not linear; harden it or take it off first."
        raise InputError(msg)
    # Slicer straightens a box that its parent transform shears; what the user sees is what counts.
    box = to_volume @ matrix_from_vtk(roi_node.GetObjectToWorldMatrix())
    scale = np.linalg.norm(box[:3, :3], axis=0)
    axes = box[:3, :3] / scale
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4):
        msg = f"The transform of {volume_node.GetName()} shears the region {name}; harden the transform of the volume first."
        raise InputError(msg)
    return Region(tuple(box[:3, 3].tolist()), tuple((size * scale).tolist()), axes)
