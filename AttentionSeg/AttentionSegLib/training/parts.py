"""Import of the packages that only a training needs, and progress of its stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from ..progress import OnProgress


def import_parts() -> tuple[Callable[..., Any], Callable[..., None]]:
    """Import `train` and `write_training_report`. Raises InputError if lightning or matplotlib, which only they need, is missing."""
    try:
        from .report import write_training_report
        from .trainer import train
    except ModuleNotFoundError as error:
        if error.name not in ("lightning", "matplotlib"):
            raise
        msg = f"Training needs the package {error.name}, which is not installed; run: pip install {error.name} tensorboard"
        raise InputError(msg) from error
    return train, write_training_report


def part_of(on_progress: OnProgress | None, start: float, end: float, doing: str = "") -> OnProgress:
    """An `on_progress` function for a part of a run, from fraction `start` to `end` of the whole.

    `doing` is put before the stage; with it, the end of the part is not reported.
    """

    def report(fraction: float, stage: str, seconds_left: float | None) -> None:
        if on_progress is not None and (fraction < 1 or not doing):
            on_progress(start + (end - start) * fraction, f"{doing}{stage}", seconds_left)

    return report
