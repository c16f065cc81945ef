"""State of the comparison of the last result with a reference segmentation. Without Qt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .comparison import ComparedSegment, Comparison, start_comparison
from .run import KeepPolling
from .run_presenter import RunPanel, RunPresenter
from .settings import Settings
from .task import State, Task
from .translation import tr as _

if TYPE_CHECKING:
    import slicer

    from .installation import Installation

# Largest number of unmatched segments that are listed.
MOST_NAMES = 6


@dataclass(frozen=True, eq=False)
class ShownComparison:
    """State of the comparison.

    Attributes:
        there_is_a_result: whether there is something to compare.
        reference: the chosen segmentation.
        state: of the measurement; while it runs the button cancels.
        reason: why the button is disabled; empty while it is enabled.
        message: unmatched segments, or why the comparison failed.
        head: names of the columns.
        rows: a cell per column for each segment; empty before a comparison, or after result or reference changed.
    """

    there_is_a_result: bool
    reference: slicer.vtkMRMLSegmentationNode | None
    state: State
    reason: str
    message: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class ComparisonPresenter(RunPresenter[ShownComparison]):
    """Compares the last result with a reference. Main thread only.

    Args:
        settings: in the scene's parameter node; a new scene has new ones (see `use`).
        view, installation, keep_polling: see `RunPresenter`.
    """

    def __init__(self, view: RunPanel[ShownComparison], settings: Settings, installation: Installation, keep_polling: KeepPolling) -> None:
        super().__init__(view, installation, keep_polling, _("The comparison was cancelled."))
        self._settings = settings
        self._comparison: Comparison | None = None
        self._compared: tuple | None = None
        self.refresh()

    def use(self, settings: Settings) -> None:
        """Show other settings, after a scene was closed or loaded."""
        self._settings = settings
        self.refresh()

    def choose_reference(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        self._run.cancel()
        self._settings.reference = node
        self._forget()
        self.refresh()

    def press(self) -> None:
        """Start or cancel the comparison, as the button does."""
        if self._run.state.running or not self._reason():
            self._run.press(self._start, self._finish)

    def set_result(self) -> None:
        """Discard the comparison, because there is a new result."""
        self._run.cancel()
        self._forget()
        self.refresh()

    def refresh(self) -> None:
        settings = self._settings
        if self._compared is not None and self._compared != (settings.result_segmentation, settings.reference):
            self._forget()
        self._view.show(
            ShownComparison(
                there_is_a_result=settings.result_segmentation is not None,
                reference=settings.reference,
                state=self._run.state,
                reason=self._reason(),
                message=self._run.message,
                head=(_("Segment"), _("Dice"), _("HD95"), _("mL"), _("Ref.")),
                rows=tuple(_cells(row) for row in self._comparison.rows) if self._comparison else (),
            )
        )

    def table_text(self) -> str:
        """The table for a spreadsheet: tabs between columns, a line per segment; empty before a comparison."""
        if self._comparison is None:
            return ""
        head = [_("Segment"), _("Dice"), _("Hausdorff distance, 95 % (mm)"), _("Volume (mL)"), _("Volume in the reference (mL)")]
        return "\n".join("\t".join(line) for line in (head, *(_cells(row) for row in self._comparison.rows)))

    def _reason(self) -> str:
        result, reference = self._settings.result_segmentation, self._settings.reference
        if result is None:
            return _("Segment a volume first.")
        if reference is None:
            return _("Choose a segmentation to compare the result with.")
        if reference is result:
            return _("This is the result itself: choose another segmentation.")
        return ""

    def _start(self, on_change: Callable[[Task], None]) -> Task:
        settings = self._settings
        self._forget()
        self._compared = settings.result_segmentation, settings.reference
        return start_comparison(*self._compared, on_change)

    def _finish(self, comparison: Comparison) -> str:
        if self._compared is not None:
            self._comparison = comparison
        unmatched = (
            (comparison.only_in_result, _("Only in the result: {names}.")),
            (comparison.only_in_reference, _("Only in the reference: {names}.")),
        )
        return " ".join(text.format(names=_listed(names)) for names, text in unmatched if names)

    def _forget(self) -> None:
        self._comparison = self._compared = None
        if not self._run.state.running:
            self._run.message = ""


def _cells(row: ComparedSegment) -> tuple[str, ...]:
    # NaN if one of the two segments is empty.
    distance = "" if math.isnan(row.hausdorff_95_mm) else f"{row.hausdorff_95_mm:.2f}"
    return row.name, f"{row.dice:.3f}", distance, f"{row.milliliters:.3f}", f"{row.reference_milliliters:.3f}"


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - MOST_NAMES
    # Names of structures contain commas.
    return "; ".join(names[:MOST_NAMES]) + (_(" and {count} more").format(count=more) if more > 0 else "")
