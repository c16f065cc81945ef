"""What presenters of a run behind a button have in common. Without Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from .run import KeepPolling, Run, RunView
from .task import State

if TYPE_CHECKING:
    from .installation import Installation

Shown = TypeVar("Shown")
ShownByPanel = TypeVar("ShownByPanel", contravariant=True)


class RunPanel(RunView, Protocol[ShownByPanel]):
    """What a presenter needs of its panel."""

    def show(self, shown: ShownByPanel) -> None: ...


class RunPresenter(Generic[Shown]):
    """A presenter whose button starts and cancels a run. Main thread only.

    Args:
        view: the panel, or a double of it.
        installation: of the required Python packages.
        keep_polling: see `Run`.
        cancelled: the message after a cancelled run.
    """

    def __init__(self, view: RunPanel[Shown], installation: Installation, keep_polling: KeepPolling, cancelled: str) -> None:
        self._view = view
        self._run = Run(view, installation, keep_polling, self.refresh, cancelled)

    @property
    def state(self) -> State:
        return self._run.state

    def cancel(self) -> None:
        """Stop the run."""
        self._run.cancel()

    def refresh(self) -> None:
        """Update the view."""
        raise NotImplementedError
