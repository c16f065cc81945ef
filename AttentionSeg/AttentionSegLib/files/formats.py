"""The table of file formats of scans and label maps, from which commands, panel and messages take the file endings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..image import Image

SEGMENTATION = ".seg.nrrd"


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: for display.
        endings: of file names, in lower case; they are compared without regard to case.
        read: reads the image of a file, as a label map if the second argument is True (see `read_label_layers`).
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[[Path, bool], Image]


# Readers are imported on use: SimpleITK takes a while to import, and most runs do not need it.
def _nifti(path: Path, labels: bool) -> Image:
    from .nifti import read_nifti

    return read_nifti(path, labels)


def _nrrd(path: Path, labels: bool) -> Image:
    from .itk import read_itk
    from .nrrd import stored_in_nrrd

    return read_itk(path, "NrrdImageIO", stored_in_nrrd(path), labels)


def _meta_image(path: Path, labels: bool) -> Image:
    from .itk import read_itk
    from .meta_image import stored_in_meta_image

    return read_itk(path, "MetaImageIO", stored_in_meta_image(path), labels)


def _picture(path: Path, labels: bool) -> Image:
    from .pictures import read_picture

    return read_picture(path, labels)


def _freesurfer(path: Path, labels: bool) -> Image:
    from .brain_formats import read_mgh

    return read_mgh(path, labels)


def _pair(path: Path, labels: bool) -> Image:
    from .brain_formats import read_pair

    return read_pair(path, labels)


PICTURES = Format("pictures", (".png", ".jpg", ".jpeg", ".tif", ".tiff"), _picture)
FORMATS = (
    Format("NIfTI", (".nii.gz", ".nii"), _nifti),
    Format("NRRD", (SEGMENTATION, ".nrrd", ".nhdr"), _nrrd),
    Format("MetaImage", (".mha", ".mhd"), _meta_image),
    Format("FreeSurfer", (".mgz", ".mgh"), _freesurfer),
    Format("Analyze", (".hdr",), _pair),
    PICTURES,
)
ENDINGS = tuple(ending for form in FORMATS for ending in form.endings)
# The voxels of a pair; the user names its header.
PAIRED = ".img"
# Usual endings of DICOM files, which are recognized by their content.
DICOM_ENDINGS = (".dcm", ".ima")


def format_of(path: Path | str) -> Format | None:
    """The format of a file by its name; None for any other, such as DICOM."""
    ending = ending_of(Path(path).name)
    return next((form for form in FORMATS if ending in form.endings), None)


def ending_of(name: str) -> str:
    """The ending of a file name in lower case, the longest that is known; empty if none is."""
    known = [ending for ending in (*ENDINGS, *DICOM_ENDINGS, PAIRED) if name.lower().endswith(ending)]
    return max(known, key=len, default="")


def described() -> str:
    """All formats with their endings, for messages."""
    return ", ".join(f"{form.name} ({', '.join(form.endings)})" for form in FORMATS)
