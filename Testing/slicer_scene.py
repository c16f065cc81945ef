"""A MRML scene as the Slicer application has it, made from the package slicer-core."""

from __future__ import annotations

from types import SimpleNamespace

import slicer
import vtk


def new_scene() -> slicer.vtkMRMLScene:
    """A scene with default colors and the logics of the modules that volumes and segmentations need; also set as `slicer.mrmlScene`."""
    # The wheel lacks the color and terminology files of the application, and says so at length.
    vtk.vtkObject.GlobalWarningDisplayOff()
    # The logic of segmentations adds them to those of the process with every scene: after some hundred, copying a segmentation would take minutes.
    converters = slicer.vtkSegmentationConverterFactory.GetInstance()
    for rule in list(converters.GetConverterRules()):
        converters.UnregisterConverterRule(rule)
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)

    def register(name: str, logic: slicer.vtkSlicerModuleLogic) -> slicer.vtkSlicerModuleLogic:
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name, logic)
        return logic

    logics = {
        "colors": register("Colors", slicer.vtkSlicerColorLogic()),
        "terminologies": register("Terminologies", slicer.vtkSlicerTerminologiesModuleLogic()),
        "subjecthierarchy": register("SubjectHierarchy", slicer.vtkSlicerSubjectHierarchyModuleLogic()),
        "volumes": register("Volumes", slicer.vtkSlicerVolumesLogic()),
        "segmentations": register("Segmentations", slicer.vtkSlicerSegmentationsModuleLogic()),
        "sequences": register("Sequences", slicer.vtkSlicerSequencesLogic()),
    }
    application.SetColorLogic(logics["colors"])
    logics["colors"].AddDefaultColorNodes()
    # Also keeps the logics alive, and the application's, to which they point: the nodes they made go when they go.
    slicer.modules = SimpleNamespace(**{name: SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}, kept=application)
    vtk.vtkObject.GlobalWarningDisplayOn()
    return scene
