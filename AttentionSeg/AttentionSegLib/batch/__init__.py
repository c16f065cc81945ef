"""Scans in files to results in files."""

from .case import CaseResult, read_case, segment_case, write_case

__all__ = ["CaseResult", "read_case", "segment_case", "write_case"]
