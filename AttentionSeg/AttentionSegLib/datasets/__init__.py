"""Labelled scans: which cases there are, which of them a training learns from, and what they are like."""

from .case_set import CaseSet, folder_cases
from .dataset_json import dataset_cases
from .label_maps import label_cases

__all__ = ["CaseSet", "dataset_cases", "folder_cases", "label_cases"]
