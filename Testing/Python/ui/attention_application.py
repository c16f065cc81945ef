"""A scene with a view and an application that shows the maps of its results."""

from __future__ import annotations

from types import SimpleNamespace

import slicer
from AttentionSegLib.ui.attention_presenter import AttentionPresenter
from doubles import Application


class AttentionDouble:
    def show(self, shown):
        self.shown = shown


def attention_application(scene, monkeypatch):
    scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    rendering = slicer.vtkSlicerVolumeRenderingLogic()
    rendering.SetMRMLScene(scene)
    monkeypatch.setattr(slicer.modules, "volumerendering", SimpleNamespace(logic=lambda: rendering), raising=False)
    app = Application(scene)
    app.panel = AttentionDouble()
    app.attention = AttentionPresenter(app.panel, app.settings)
    return app


def segmented(app, model="tiny-unet", volume=None):
    app.choose(model, volume)
    result = app.run()
    app.attention.set_result(result)
    return result


def foreground(app):
    return app.scene.GetNodeByID(app.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode").GetForegroundVolumeID() or "")
