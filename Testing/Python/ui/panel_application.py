"""An application with the real panel: every widget of AttentionSeg.ui bound, under stand-ins for Slicer's Qt."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from doubles import Application, InstallationDouble, make_scan

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("PySide6", reason="PySide6 is not installed", exc_type=ImportError)
import stand_ins

APPLICATION = stand_ins.install()
UI = Path(__file__).resolve().parents[3] / "AttentionSeg" / "Resources" / "UI" / "AttentionSeg.ui"


class PanelApplication(Application):
    """The presenters with the real panel, as the module's widget puts them together."""

    def __init__(self, scene, installation=None):
        from AttentionSegLib.ui.attention_panel import AttentionPanel
        from AttentionSegLib.ui.attention_presenter import AttentionPresenter
        from AttentionSegLib.ui.panel import Panel
        from AttentionSegLib.ui.why_panel import WhyPanel
        from AttentionSegLib.ui.why_presenter import WhyPresenter

        self.top = stand_ins.load_ui(UI)
        self.top.setMRMLScene(scene)
        self.ui = stand_ins.child_widgets(self.top)
        self.panel = Panel(self.ui)
        super().__init__(scene, installation, view=self.panel)
        self.panel.connect(self.presenter)
        attention_panel = AttentionPanel(self.ui)
        self.attention = AttentionPresenter(attention_panel, self.settings)
        attention_panel.connect(self.attention)
        why_panel = WhyPanel(self.ui)
        self.why = WhyPresenter(why_panel, self.attention, InstallationDouble(), self.keep_polling)
        why_panel.connect(self.why)
        self.top.resize(300, 1100)
        self.top.show()

    def on_result(self, result):
        super().on_result(result)
        self.attention.set_result(result)

    def close(self):
        self.top.setMRMLScene(None)
        self.top.close()

    def picture(self, name):
        """Draw the panel, where the variable ATTENTIONSEG_PICTURES names a folder."""
        folder = os.environ.get("ATTENTIONSEG_PICTURES")
        if folder:
            APPLICATION.processEvents()
            self.top.grab().save(str(Path(folder) / f"{name}.png"))


@contextmanager
def shown_panel(scene):
    """An application with a view of the scene, until its panel is closed."""
    scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    made = PanelApplication(scene)
    yield made
    made.close()


def choose(app, model="Tiny U-Net", volume=None):
    volume = volume or make_scan(app.scene)
    app.ui.modelSelector.setCurrentIndex(app.ui.modelSelector.findText(model))
    app.ui.inputSelector1.setCurrentNode(volume)
    return volume
