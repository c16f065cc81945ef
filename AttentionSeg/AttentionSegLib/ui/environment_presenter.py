"""State of the section Environment: report and user's models. Without Qt."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..models import export_model, import_model
from .environment import UserModel, delete_model, environment_report, slicer_version_text, user_models
from .run import KeepPolling, failure
from .task import State, Task
from .translation import tr as _


@dataclass(frozen=True)
class ShownEnvironment:
    """State of the section.

    Attributes:
        report: of the last check.
        checking: whether a check is running.
        models: the user's own, to export or delete.
        reason: why there are none.
        copying: whether a model is being imported or exported.
        message: how the last import or export ended.
    """

    report: str
    checking: bool
    models: tuple[UserModel, ...]
    reason: str
    copying: bool
    message: str


class EnvironmentView(Protocol):
    """What the presenter needs of a panel."""

    def show(self, shown: ShownEnvironment) -> None: ...

    def ask(self, question: str) -> bool: ...

    def choose_model(self) -> str:
        """Path of a .zip or of the card of a model folder; empty if the user cancels."""

    def choose_archive(self, name: str) -> str:
        """Path of a .zip to write, with `name` as default; empty if the user cancels."""


class EnvironmentPresenter:
    """Checks the environment, and imports, exports and deletes models. Main thread only.

    Args:
        view: the panel, or a double of it.
        keep_polling: see `Run`.
        on_models: called after a model was added or deleted.
    """

    def __init__(self, view: EnvironmentView, keep_polling: KeepPolling, on_models: Callable[[], None]) -> None:
        self._view, self._keep_polling, self._on_models = view, keep_polling, on_models
        self._report, self._message = "", ""
        self._task: Task[str] | None = None
        self._copy: Task[Path] | None = None
        self.refresh()

    def check(self) -> None:
        """Make the report, in a thread because importing torch takes seconds."""
        if _runs(self._task):
            return
        version = slicer_version_text()
        self._task = Task(lambda _on_progress, _cancel: environment_report(version), lambda report: report, self._on_change)
        self._keep_polling(self._task.poll)
        self.refresh()

    def report(self) -> str:
        """The last report; empty before the first check."""
        return self._report

    def import_model(self) -> None:
        """Import a model that the user chooses into the user's model folder, in a thread."""
        path = self._view.choose_model()
        if path:
            self._start(lambda: import_model(path), _("Importing ..."), _("Imported: {path}"))

    def export_model(self, row: int) -> None:
        """Export one of the user's models to a file that the user chooses, in a thread."""
        folder = user_models()[row].folder
        path = self._view.choose_archive(f"{folder.name}.zip")
        if path:
            self._start(lambda: export_model(folder, path), _("Exporting ..."), _("Exported: {path}"))

    def delete(self, row: int) -> None:
        """Delete one of the user's models, after asking."""
        model = user_models()[row]
        if self._view.ask(
            _("Delete the model {title} ({size:.0f} MB), the folder {folder}?").format(title=model.title, size=model.megabytes, folder=model.folder)
        ):
            delete_model(model.folder)
            self._message = _("Deleted: {title}").format(title=model.title)
            self._on_models()
        self.refresh()

    def refresh(self) -> None:
        """Update the view."""
        models = tuple(user_models())
        reason = "" if models else _("There are no models of your own to export or delete; those that ship with the extension are not listed.")
        self._view.show(ShownEnvironment(self._report, _runs(self._task), models, reason, _runs(self._copy), self._message))

    def _start(self, work: Callable[[], Path], doing: str, done: str) -> None:
        if _runs(self._copy):
            return
        if importlib.util.find_spec("jsonschema") is None:
            self._message = _("The Python packages that check a model are not installed yet; press Segment once, which installs them.")
        else:
            self._message = doing
            self._copy = Task(lambda _on_progress, _cancel: work(), lambda path: path, lambda task: self._on_copy(task, done))
            self._keep_polling(self._copy.poll)
        self.refresh()

    def _on_copy(self, task: Task[Path], done: str) -> None:
        if task.state is State.DONE:
            self._message = done.format(path=task.result)
            self._on_models()
        elif task.error is not None and task.state is State.FAILED:
            self._message = failure(task.error)[0]
        if not task.state.running:
            self.refresh()

    def _on_change(self, task: Task[str]) -> None:
        if task.state is State.DONE:
            self._report = task.result or ""
        elif task.error is not None and task.state is State.FAILED:
            self._report = failure(task.error)[0]
        if not task.state.running:
            self.refresh()


def _runs(task: Task | None) -> bool:
    return task is not None and task.state.running
