"""Evaluation of models, and of existing segmentations, against reference labels."""

from typing import TYPE_CHECKING

from .definitions import EMPTY_RULE, METRICS, Metric

if TYPE_CHECKING:
    from .run import Evaluation, evaluate
    from .statistics import Scores

__all__ = ["EMPTY_RULE", "METRICS", "Evaluation", "Metric", "Scores", "evaluate"]


def __getattr__(name: str) -> object:
    # Code that only needs the list of metrics, such as the help of the command line, does not have to import the libraries that read scans.
    if name in ("Evaluation", "evaluate"):
        from . import run

        return getattr(run, name)
    if name == "Scores":
        from .statistics import Scores

        return Scores
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
