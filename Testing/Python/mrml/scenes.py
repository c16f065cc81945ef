"""Volumes, transforms and predictions that the tests of this folder put into scenes."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from AttentionSegLib.image import Image
from AttentionSegLib.inference.prediction import Prediction
from AttentionSegLib.models import Card
from builders import make_card_document
from poses import axes_of

SHAPE = (11, 9, 7)
SPACING = np.array([1.5, 0.75, 2.25])
ORIGIN = np.array([-31.4, 12.7, 5.9])


def rotation(right: float, anterior: float, superior: float) -> np.ndarray:
    """Rotation about the three axes, degrees."""
    transform = vtk.vtkTransform()
    transform.RotateX(right)
    transform.RotateY(anterior)
    transform.RotateZ(superior)
    return slicer.util.arrayFromVTKMatrix(transform.GetMatrix())[:3, :3]


def affine_of(directions: np.ndarray, spacing: np.ndarray = SPACING) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = ORIGIN
    return affine


AFFINES = {
    "RAS": affine_of(axes_of("RAS")),
    "LPS": affine_of(axes_of("LPS")),
    "PIR": affine_of(axes_of("PIR")),
    "SAL": affine_of(axes_of("SAL")),
    "oblique": affine_of(rotation(23, -17, 41)),
    "anisotropic": affine_of(rotation(-8, 5, 3), np.array([0.4, 0.4, 6.0])),
    "left-handed": affine_of(rotation(12, 34, -20) @ np.diag([-1, 1, 1])),
}


def make_volume(scene, affine=None, voxels=None, name="T1"):
    """A scalar volume; `voxels` are [I, J, K]."""
    if voxels is None:
        voxels = np.random.default_rng(7).integers(-1000, 1000, SHAPE).astype(np.int16)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(AFFINES["oblique"] if affine is None else affine))
    slicer.util.updateVolumeFromArray(node, voxels.transpose(2, 1, 0))
    node.CreateDefaultDisplayNodes()
    return node


def linear_transform(scene, matrix, parent=None):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def rigid(right, anterior, superior, shift):
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(right, anterior, superior)
    matrix[:3, 3] = shift
    return matrix


def thin_plate_transform(scene, parent=None):
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for corner in Image(np.zeros((1, *SHAPE)), AFFINES["oblique"]).corners():
        source.InsertNextPoint(corner)
        target.InsertNextPoint(corner + 3 * np.sin(corner[::-1]))
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    node.SetAndObserveTransformToParent(spline)
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def grid_transform(scene):
    field = vtk.vtkImageData()
    field.SetDimensions(5, 5, 5)
    field.SetOrigin(-80, -40, -40)
    field.SetSpacing(25, 25, 25)
    field.AllocateScalars(vtk.VTK_DOUBLE, 3)
    vectors = vtk.util.numpy_support.vtk_to_numpy(field.GetPointData().GetScalars())
    vectors[:] = np.random.default_rng(3).uniform(-4, 4, vectors.shape)
    transform = slicer.vtkOrientedGridTransform()
    transform.SetDisplacementGridData(field)
    transform.SetInterpolationModeToCubic()
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    node.SetAndObserveTransformToParent(transform)
    return node


PARENTS = {
    "alone": lambda scene: None,
    "linear": lambda scene: linear_transform(scene, rigid(10, 20, 30, (5, -6, 7))),
    "nested": lambda scene: linear_transform(scene, rigid(10, 20, 30, (5, -6, 7)), linear_transform(scene, rigid(-40, 3, 9, (50, 0, -20)))),
    "thin plate": thin_plate_transform,
    "grid": grid_transform,
    "thin plate in linear": lambda scene: thin_plate_transform(scene, linear_transform(scene, rigid(-40, 3, 9, (50, 0, -20)))),
}


def put_under(node, transform):
    node.SetAndObserveTransformNodeID(None if transform is None else transform.GetID())


def to_world(node, ras) -> np.ndarray:
    world = [0.0, 0.0, 0.0]
    node.TransformPointToWorld(list(ras), world)
    return np.array(world)


def make_labels(shape=SHAPE, values=(0, 1, 2)) -> np.ndarray:
    """Random labels [I, J, K] uint8."""
    return np.random.default_rng(11).choice(np.array(values, dtype=np.uint8), shape)


def make_prediction(image: Image, labels: np.ndarray | None = None, attention: dict[str, Image] | None = None, **card_changes) -> Prediction:
    """What the engine would give back for an image, with one coarse attention map unless told."""
    labels = make_labels(image.shape) if labels is None else labels
    uncertainty = np.random.default_rng(5).random((1, *image.shape), dtype=np.float32)
    if attention is None:
        coarse = image.affine @ np.diag([2, 2, 2, 1])
        coarse[:3, 3] = image.to_ras(np.full(3, 0.5))
        attention = {"gate_2": Image(np.random.default_rng(6).random((1, 5, 4, 3), dtype=np.float32), coarse)}
    return Prediction(
        labels=Image(labels[np.newaxis], image.affine, image.name),
        uncertainty=Image(uncertainty, image.affine, image.name),
        attention=attention,
        probabilities=None,
        card=Card.from_document(make_card_document(**card_changes)),
        device="cpu",
    )


def voxels_of(segmentation_node, segment_id, shape=SHAPE) -> np.ndarray:
    """Mask [I, J, K] of a segment, read from its stored labelmap on the whole grid of the volume."""
    labelmap = slicer.vtkOrientedImageData()
    assert segmentation_node.GetBinaryLabelmapRepresentation(segment_id, labelmap)
    mask = np.zeros(shape, dtype=bool)
    if labelmap.GetNumberOfPoints():
        extent = labelmap.GetExtent()
        stored = vtk.util.numpy_support.vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions(), order="F")
        mask[extent[0] : extent[1] + 1, extent[2] : extent[3] + 1, extent[4] : extent[5] + 1] = stored != 0
    return mask


def affine_of_segment(segmentation_node, segment_id) -> np.ndarray:
    labelmap = slicer.vtkOrientedImageData()
    assert segmentation_node.GetBinaryLabelmapRepresentation(segment_id, labelmap)
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def nodes_of(scene) -> list[str]:
    return [scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())]


def save_and_load(scene, folder):
    """A new scene from an .mrb file of the old one."""
    path = str(folder / "scene.mrb")
    assert scene.WriteToMRB(path)
    (folder / "cache").mkdir()
    (folder / "cache" / ".slicer-cache").touch()
    files = slicer.vtkDataIOManager()
    files.SetCacheManager(slicer.vtkCacheManager())
    files.GetCacheManager().SetRemoteCacheDirectory(str(folder / "cache"))
    loaded = slicer.vtkMRMLScene()
    loaded.SetDataIOManager(files)
    assert loaded.ReadFromMRB(path)
    return loaded
