"""Reports of a run: measurements per label, a JSON report, an overview picture, and HTML pages."""

from .label_statistics import STATISTICS
from .measurements import Measurement, measure
from .overview import check_drawing, write_overview
from .run_report import run_report, write_report

__all__ = ["STATISTICS", "Measurement", "check_drawing", "measure", "run_report", "write_overview", "write_report"]
