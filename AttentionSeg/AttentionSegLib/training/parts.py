"""Import of the packages that only a training needs, and progress of its stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..progress import OnProgress


def check_parts() -> None:
    """Raise InputError if lightning or matplotlib, which only `trainer` and `report` need, is missing."""
    try:
        from .report import write_training_report  # noqa: F401
        from .trainer import train  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in ("lightning", "matplotlib"):
            raise
        msg = f"Training needs the package {error.name}, which is not installed; run: pip install {error.name} tensorboard"
        raise InputError(msg) from error


def part_of(on_progress: OnProgress | None, start: float, end: float, doing: str = "") -> OnProgress:
    """An `on_progress` function for a part of a run, from fraction `start` to `end` of the whole.

    `doing` is put before the stage; with it, the end of the part is not reported.
    """

    def report(fraction: float, stage: str, seconds_left: float | None) -> None:
        if on_progress is not None and (fraction < 1 or not doing):
            on_progress(start + (end - start) * fraction, f"{doing}{stage}", seconds_left)

    return report
