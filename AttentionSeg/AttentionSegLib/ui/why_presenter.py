"""State of the explanation of a segment of the last result. Without Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..map_kinds import why_map
from ..mrml.result_explanation import Question, explain, publish_explanation, read_question
from .run import KeepPolling
from .run_presenter import RunPanel, RunPresenter
from .shown_attention import map_name
from .task import State, Task
from .translation import tr as _

if TYPE_CHECKING:
    import slicer

    from .attention_presenter import AttentionPresenter
    from .installation import Installation


@dataclass(frozen=True)
class ShownWhy:
    """State of the explanation: that of its run, the label that is explained while it runs, and how the last one ended."""

    state: State
    label: str
    message: str


class WhyPresenter(RunPresenter[ShownWhy]):
    """Explains a segment of the last result, or its label at the marked voxel while the probe is on, by a map. Main thread only.

    Args:
        attention: has the result, the probe and the list of maps.
        view, installation, keep_polling: see `RunPresenter`.
    """

    def __init__(self, view: RunPanel[ShownWhy], attention: AttentionPresenter, installation: Installation, keep_polling: KeepPolling) -> None:
        super().__init__(view, installation, keep_polling, _("The explanation was cancelled."))
        self._attention, self._label = attention, ""
        self.refresh()

    def press(self, label: str) -> None:
        """Explain a label, or cancel its explanation while that runs. A map that is there already is only shown."""
        if self._run.state.running:
            if label == self._label:
                self._run.cancel()
            return
        if self._attention.result is None:
            return
        there = [node for node in self._attention.maps if map_name(node) == why_map(label)]
        if there and self._attention.probe is None:
            self._attention.show_map(there[0])
            return
        self._label = label
        self._run.press(self._start, self._finish)

    def set_result(self) -> None:
        """Stop, because there is another result."""
        self._stop(_("Stopped, because there is a new result."))

    def leave_scene(self) -> None:
        """Stop, because the scene is about to be closed."""
        self._stop("")

    def refresh(self) -> None:
        running = self._run.state.running
        self._view.show(ShownWhy(self._run.state, self._label if running else "", self._run.message))

    def _stop(self, message: str) -> None:
        self._run.cancel(message)
        self._run.forget()

    def _start(self, on_change: Callable[[Task], None]) -> Task:
        result, probe = self._attention.result, self._attention.probe
        if result is None:
            msg = _("The result is no longer there; segment the volume again.")
            raise InputError(msg)
        if probe is not None and probe.position is None:
            msg = _("Hold Shift and move the mouse over a slice to choose a voxel, or turn the probe off to explain the whole segment.")
            raise InputError(msg)
        question = read_question(result, self._label, None if probe is None else probe.position)
        nodes = [*result.source.volumes, result.segmentation]
        return Task(
            lambda on_progress, cancel: explain(question, on_progress, cancel),
            lambda image: (question, publish_explanation(question, image, self._attention.maps)),
            on_change,
            nodes=nodes,
            stage="prepare",
        )

    def _finish(self, published: tuple[Question, slicer.vtkMRMLScalarVolumeNode]) -> str:
        question, node = published
        self._attention.add_map(node)
        if not node.GetImageData().GetScalarRange()[1] > 0:
            return _("Nothing in the scan raised {label} there.").format(label=question.label)
        return _("{seconds:.1f} s. Bright places raised {label}.").format(seconds=self._run.seconds, label=question.label)
