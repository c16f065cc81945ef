"""The panel of the module: all sections with their presenters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..mrml.map_files import show_map_file
from .attention_panel import AttentionPanel
from .attention_presenter import AttentionPresenter
from .comparison_panel import ComparisonPanel
from .comparison_presenter import ComparisonPresenter
from .environment_presenter import EnvironmentPresenter
from .form_panel import EnvironmentPanel, FormPanel
from .form_presenter import BatchPresenter, ShownForm
from .installation import Installation
from .panel import Panel
from .presenter import Presenter, WhenIdle
from .run import KeepPolling
from .segmenter import Segmenter
from .sequence_run import SegmentedSequence
from .settings import Settings
from .train_panel import TrainPanel
from .train_presenter import TrainPresenter
from .why_panel import WhyPanel
from .why_presenter import WhyPresenter

if TYPE_CHECKING:
    import slicer

    from ..mrml.segment import SegmentedVolume


class ModulePanel:
    """All sections, connected to their presenters.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
        settings: in the scene's parameter node.
        segmenter: keeps the model loaded.
        resources: the module's folder `Resources`.
        keep_polling: see `Run`.
        when_idle: see `Presenter`.
    """

    def __init__(self, ui: Any, settings: Settings, segmenter: Segmenter, resources: Path, keep_polling: KeepPolling, when_idle: WhenIdle) -> None:
        needed, for_batch, for_training = (resources / f"requirements{kind}.txt" for kind in ("", "-batch", "-training"))
        panel, attention_panel, environment_panel = Panel(ui), AttentionPanel(ui), EnvironmentPanel(ui)
        batch_panel: FormPanel[BatchPresenter, ShownForm] = FormPanel(
            ui, "batch", {"batch_input": ui.batchInputEdit, "batch_output": ui.batchOutputEdit}, {}
        )
        train_panel, comparison_panel, why_panel = TrainPanel(ui), ComparisonPanel(ui), WhyPanel(ui)

        self.comparison = ComparisonPresenter(comparison_panel, settings, Installation(needed), keep_polling)
        self.attention = AttentionPresenter(attention_panel, settings, self.comparison.table_text)
        self.why = WhyPresenter(why_panel, self.attention, Installation(needed), keep_polling)
        self.presenter = Presenter(panel, settings, segmenter, Installation(needed), keep_polling, self._show_result, when_idle)
        self.batch = BatchPresenter(batch_panel, settings, Installation(needed, for_batch), keep_polling)
        self.train = TrainPresenter(train_panel, settings, Installation(needed, for_training), keep_polling, self._use_trained)
        self.environment = EnvironmentPresenter(environment_panel, keep_polling, self.presenter.refresh_models)
        panel.connect(self.presenter)
        attention_panel.connect(self.attention)
        why_panel.connect(self.why)
        comparison_panel.connect(self.comparison)
        batch_panel.connect(self.batch)
        train_panel.connect(self.train)
        environment_panel.connect(self.environment)

    def use(self, settings: Settings) -> None:
        """Show the settings of another parameter node, after a scene was closed or loaded."""
        for part in (self.presenter, self.attention, self.comparison, self.batch, self.train):
            part.use(settings)

    def refresh(self) -> None:
        """Update everything: models and nodes may have changed while the panel was closed."""
        self.presenter.refresh_models()
        self.refresh_nodes()
        self.environment.refresh()

    def refresh_nodes(self) -> None:
        """Update after volumes or segmentations were added or removed."""
        self.presenter.refresh()
        self.attention.refresh()
        self.comparison.refresh()
        self.train.refresh()

    def look_at(self, node: slicer.vtkMRMLNode) -> None:
        """Check a new node: a map loaded from a batch's file is shown as a map, and not listed as a scan."""
        if node.GetScene() is not None and node.IsA("vtkMRMLScalarVolumeNode") and show_map_file(node):
            self.refresh_nodes()

    def leave_scene(self) -> None:
        """Stop everything that works on nodes, before the scene is closed."""
        self.presenter.leave_scene()
        self.comparison.cancel()
        self.why.leave_scene()
        self.attention.leave()

    def close(self) -> None:
        """Stop everything that runs, before the panel is removed."""
        self.presenter.cancel()
        self.presenter.unfollow()
        self.comparison.cancel()
        self.why.cancel()
        self.attention.close()
        self.batch.cancel()
        self.train.cancel()

    def _use_trained(self, model_id: str) -> None:
        self.presenter.refresh_models()
        self.presenter.choose_model(model_id)
        self.environment.refresh()

    def _show_result(self, result: SegmentedVolume | SegmentedSequence) -> None:
        if isinstance(result, SegmentedSequence):
            self.attention.set_sequence(result)
        else:
            self.attention.set_result(result)
        self.comparison.set_result()
        self.why.set_result()
