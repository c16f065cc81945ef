"""Reading of scans and label maps, and writing of segmentations and maps."""

from ..writing import all_or_none, atomic_path, check_output_folder, output_folder, write_text
from .channels import read_images
from .dicom_search import DicomSeries, find_series
from .names import scan_stem
from .output import write_map, write_segmentation
from .scan import read_image, read_label_layers

__all__ = [
    "DicomSeries",
    "all_or_none",
    "atomic_path",
    "check_output_folder",
    "find_series",
    "output_folder",
    "read_image",
    "read_images",
    "read_label_layers",
    "scan_stem",
    "write_map",
    "write_segmentation",
    "write_text",
]
