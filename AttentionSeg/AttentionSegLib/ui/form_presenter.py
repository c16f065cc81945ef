"""State of forms whose button starts a long run on files, and of the section Batch. Without Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .long_runs import folder_task
from .model_list import model_choices
from .run import KeepPolling
from .run_presenter import RunPanel, RunPresenter
from .segmenter import Options
from .settings import Settings
from .task import State, Task
from .translation import tr as _

if TYPE_CHECKING:
    from ..batch.run import BatchResult
    from .installation import Installation

# File name in the output folder of a batch.
REPORT = "report.html"


@dataclass(frozen=True)
class ShownForm:
    """State of a form: the values of its fields by the names of the settings, the state of its run (see `Run`), and the path of its report."""

    values: dict[str, Any]
    state: State
    reason: str
    message: str
    report: str


Form = TypeVar("Form", bound=ShownForm)


class FormPresenter(RunPresenter[Form]):
    """A form whose button starts a long run on files. Main thread only.

    Args:
        settings: in the scene's parameter node; a new scene has new ones (see `use`).
        view, installation, keep_polling: see `RunPresenter`.
    """

    # The form's settings, each with the sentence that asks for it while it is empty.
    fields: ClassVar[dict[str, str]]

    def __init__(self, view: RunPanel[Form], settings: Settings, installation: Installation, keep_polling: KeepPolling) -> None:
        super().__init__(view, installation, keep_polling, _("Stopped; finished work is kept, and the next press resumes from there."))
        self._settings = settings
        self.refresh()

    def use(self, settings: Settings) -> None:
        """Show other settings, after a scene was closed or loaded."""
        self._settings = settings
        self.refresh()

    def set(self, field: str, value: Any) -> None:
        setattr(self._settings, field, value)
        self.refresh()

    def press(self) -> None:
        """Start or cancel the run, as the button does."""
        if self._run.state.running or not self._reason():
            self._run.press(self._start, self._describe)

    def refresh(self) -> None:
        self._view.show(self._shown())

    def _shown(self) -> Form:
        raise NotImplementedError

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self._settings, name) for name in self.fields}

    def _reason(self) -> str:
        return next((sentence for name, sentence in self.fields.items() if not getattr(self._settings, name)), "")

    def _report(self) -> str:
        """Path of the report of the last run; empty while there is none."""
        raise NotImplementedError

    def _start(self, on_change: Callable[[Task], None]) -> Task:
        """Start the run with the current settings."""
        raise NotImplementedError

    def _describe(self, result: Any) -> str:
        raise NotImplementedError


class BatchPresenter(FormPresenter[ShownForm]):
    """Segments every scan of a folder with the chosen model and the options of Advanced; probabilities are not written."""

    fields: ClassVar = {
        "batch_input": _("Choose the folder with the scans."),
        "batch_output": _("Choose a folder for the results."),
    }

    def _shown(self) -> ShownForm:
        return ShownForm(self._values(), self._run.state, self._reason(), self._run.message, self._report())

    def _report(self) -> str:
        page = Path(self._settings.batch_output) / REPORT
        return str(page) if self._settings.batch_output and page.is_file() else ""

    def _start(self, on_change: Callable[[Task], None]) -> Task:
        settings = self._settings
        chosen = Options.chosen(settings, next((model for model in model_choices() if model.id == settings.model), None))
        return folder_task(settings.batch_input, settings.batch_output, on_change, model=chosen.model, options=chosen.run)

    def _describe(self, result: BatchResult) -> str:
        done = _("Scans segmented: {count}. The results are in {folder}.").format(count=len(result.done), folder=result.folder)
        failed = _("Failed: {count}; the report says why.").format(count=len(result.failed))
        return f"{done} {failed}" if result.failed else done
