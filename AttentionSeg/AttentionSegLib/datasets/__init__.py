"""Labeled scans: finding cases, splitting them into training and validation, and surveying them."""

from .case_set import CaseSet, folder_cases
from .dataset_json import dataset_cases
from .label_maps import label_cases
from .label_reading import LabelReading, parse_label_map

__all__ = ["CaseSet", "LabelReading", "dataset_cases", "folder_cases", "label_cases", "parse_label_map"]
