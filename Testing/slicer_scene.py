"""A MRML scene as the Slicer application has it, made from the package slicer-core."""

from __future__ import annotations

from types import SimpleNamespace

import slicer


def new_scene() -> slicer.vtkMRMLScene:
    """A scene with default colors and the logics of the modules that volumes and segmentations need; also set as `slicer.mrmlScene`."""
    # The wheel lacks the color and terminology files of the application, and says so at length.
    slicer.vtkObject.GlobalWarningDisplayOff()
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)

    def register(name: str, logic: slicer.vtkSlicerModuleLogic) -> slicer.vtkSlicerModuleLogic:
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name, logic)
        return logic

    colors = register("Colors", slicer.vtkSlicerColorLogic())
    application.SetColorLogic(colors)
    colors.AddDefaultColorNodes()
    register("Terminologies", slicer.vtkSlicerTerminologiesModuleLogic())
    register("SubjectHierarchy", slicer.vtkSlicerSubjectHierarchyModuleLogic())
    volumes = register("Volumes", slicer.vtkSlicerVolumesLogic())
    segmentations = register("Segmentations", slicer.vtkSlicerSegmentationsModuleLogic())
    slicer.modules = SimpleNamespace(volumes=SimpleNamespace(logic=lambda: volumes), segmentations=SimpleNamespace(logic=lambda: segmentations))
    slicer.vtkObject.GlobalWarningDisplayOn()
    return scene
