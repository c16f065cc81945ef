"""Scans from and to disk."""

from .atomic import atomic_path, check_output_folder, write_text
from .channels import read_images
from .names import scan_stem
from .output import write_map, write_segmentation
from .results import all_or_none, output_folder
from .scan import read_image

__all__ = [
    "all_or_none",
    "atomic_path",
    "check_output_folder",
    "output_folder",
    "read_image",
    "read_images",
    "scan_stem",
    "write_map",
    "write_segmentation",
    "write_text",
]
