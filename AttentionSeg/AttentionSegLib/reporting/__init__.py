"""What is told about a run: volumes per label, a report for the record, a picture for the eye."""

from .label_statistics import STATISTICS
from .measurements import Measurement, measure
from .overview import write_overview
from .run_report import run_report, write_report

__all__ = ["STATISTICS", "Measurement", "measure", "run_report", "write_overview", "write_report"]
