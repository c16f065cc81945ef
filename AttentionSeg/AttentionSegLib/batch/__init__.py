"""Batch segmentation: many scans from files, results to files, resumable, on one computer or a cluster."""

from .case import CaseResult, read_case, segment_case, write_case
from .run import BatchResult, segment_folder

__all__ = ["BatchResult", "CaseResult", "read_case", "segment_case", "segment_folder", "write_case"]
