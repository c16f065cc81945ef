"""The section Environment: report and models, without Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .environment import UserModel, delete_model, environment_report, user_models
from .run import KeepPolling
from .task import State, Task
from .translation import tr as _


@dataclass(frozen=True)
class ShownEnvironment:
    """What the section shows: the report, the user's models, and why there is none to delete."""

    report: str
    checking: bool
    models: tuple[UserModel, ...]
    delete_reason: str


class EnvironmentView(Protocol):
    """What the presenter needs of a panel."""

    def show(self, shown: ShownEnvironment) -> None: ...

    def ask(self, question: str) -> bool: ...


class EnvironmentPresenter:
    """Shows what is installed, when asked. Main thread only.

    Args:
        view: the panel, or a double of it.
        keep_polling: see `Run`.
    """

    def __init__(self, view: EnvironmentView, keep_polling: KeepPolling) -> None:
        self._view, self._keep_polling = view, keep_polling
        self._report, self._task = "", None
        self.refresh()

    def check(self) -> None:
        """Make the report, in a thread: torch takes seconds to import."""
        if self._task is not None and self._task.state.running:
            return
        self._task = Task(lambda _on_progress, _cancel: environment_report(), lambda report: report, self._on_change)
        self._keep_polling(self._task.poll)
        self.refresh()

    def report(self) -> str:
        """The report as it was made last; empty before."""
        return self._report

    def delete(self, row: int) -> None:
        """Delete a model of the user's, once the user agrees."""
        model = user_models()[row]
        if self._view.ask(
            _("Delete the model {name} ({size:.0f} MB) from {folder}?").format(
                name=model.folder.name, size=model.megabytes, folder=model.folder.parent
            )
        ):
            delete_model(model.folder)
        self.refresh()

    def refresh(self) -> None:
        """Show what there is now."""
        models = tuple(user_models())
        reason = "" if models else _("There are no models of your own to delete; those that ship with the extension stay.")
        checking = self._task is not None and self._task.state.running
        self._view.show(ShownEnvironment(self._report, checking, models, reason))

    def _on_change(self, task: Task) -> None:
        if task.state is State.DONE:
            self._report = task.result
        elif task.state is State.FAILED:
            self._report = _("The check failed: {error}").format(error=task.error)
        if not task.state.running:
            self.refresh()
