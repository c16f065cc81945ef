"""What a run may be asked to do: one record, made once by panel, command line or call, and carried to the engine, the report and the manifest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from .errors import InputError

LARGEST_OVERLAP = 0.9
ATTENTION_GRIDS = ("network", "input")
FORMATS = ("nrrd", "nii")
# Where a run computes, which decides on no result; what it returns and no command writes; which files are written.
COMPUTING = ("device", "backend", "memory_limit_gb")
RETURNED = ("probabilities", "attention_grid")
WRITTEN = ("attention", "file_format", "dicom")
PER_IMAGE = (*RETURNED, *WRITTEN)


@dataclass(frozen=True)
class KeywordOnly:
    """A record whose values are given by name alone, which dataclasses cannot ask for before Python 3.10."""

    def __new__(cls, **_values: Any) -> KeywordOnly:
        return super().__new__(cls)

    @classmethod
    def names(cls) -> list[str]:
        """The names of all values."""
        return [field.name for field in fields(cls)]


@dataclass(frozen=True)
class RunOptions(KeywordOnly):
    """Options of a run, by keyword. What needs no model to be checked is checked when they are made.

    Attributes:
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        backend: `auto` (OpenVINO on the CPU where it is installed, else torch), `torch` or `openvino`. OpenVINO converts a network once, at its first
            run on a computer, which takes some seconds.
        memory_limit_gb: memory of a CUDA device that a run may take, in GB; None for no limit. A run that would need more does with less at a time,
            in the end on the CPU, and its notes say so.
        mirroring: whether to run the network on the mirror image of each patch, from left to right, as well.
        overlap: share of a patch that the next one covers again, 0..0.9; that of the card when None. More takes longer, and gives less weight to the
            edges of patches, where the network sees little of what is around.
        attention: which maps: all, none, or those named. May be given as text: `all`, `none` or names with commas in between.
        probabilities: whether to return them; they take 2 bytes per voxel and label.
        attention_grid: `network` for maps on the grid they have in the network, `input` for maps resampled to the image, 0 outside the region.
        regularize: whether DICOM slices at irregular places, as of a tilted gantry or at two distances, are resampled to a regular grid.
        file_format: of the files written, `nrrd` or `nii`.
        dicom: whether to write a DICOM segmentation of a DICOM series too (it needs highdicom).

    Raises:
        InputError: if one is out of its range.
    """

    device: str = "auto"
    backend: str = "auto"
    memory_limit_gb: float | None = None
    mirroring: bool = False
    overlap: float | None = None
    regularize: bool = False
    attention: bool | tuple[str, ...] = True
    probabilities: bool = False
    attention_grid: str = "network"
    file_format: str = "nrrd"
    dicom: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "attention", _maps(self.attention))
        limit, overlap = self.memory_limit_gb, self.overlap
        msg = None
        if limit is not None and not (math.isfinite(limit) and limit > 0):
            msg = f"The memory limit is {limit:g} GB; give a number above 0, or none for no limit."
        elif overlap is not None and not 0 <= overlap <= LARGEST_OVERLAP:
            msg = f"The overlap of patches is {overlap:g}; give a number from 0 to {LARGEST_OVERLAP:g}, such as 0.5 for half of a patch."
        elif self.attention_grid not in ATTENTION_GRIDS:
            msg = f"There is no attention grid '{self.attention_grid}'; choose one of {', '.join(ATTENTION_GRIDS)}."
        elif self.file_format not in FORMATS:
            msg = f"There is no format '{self.file_format}'; choose one of {', '.join(FORMATS)}."
        if msg:
            raise InputError(msg)

    def for_image(self, changes: dict[str, Any]) -> RunOptions:
        """The same with others for one image. TypeError for what a loaded model cannot change any more."""
        fixed = changes.keys() - {*PER_IMAGE}
        if fixed:
            msg = f"{', '.join(sorted(fixed))} cannot be chosen for one image; choose it for the Predictor."
            raise TypeError(msg)
        return replace(self, **changes) if changes else self

    def default(self, names: Sequence[str]) -> RunOptions:
        """The same with the defaults of these."""
        defaults: dict[str, Any] = {field.name: field.default for field in fields(self) if field.name in names}
        return replace(self, **defaults)

    def of_image(self) -> dict[str, Any]:
        """Those that may be chosen for each image."""
        return {name: getattr(self, name) for name in PER_IMAGE}

    def of_result(self) -> dict[str, Any]:
        """Those that decide on the numbers of a result, in JSON's own types."""
        return {name: getattr(self, name) for name in self.names() if name not in (*COMPUTING, *RETURNED, *WRITTEN)}

    def of_files(self) -> dict[str, Any]:
        """Those that decide on the files of a case, in JSON's own types."""
        attention = self.attention if isinstance(self.attention, bool) else list(self.attention)
        return {"attention": attention, "format": self.file_format, "dicom": self.dicom, **self.of_result()}


def _maps(attention: bool | str | Iterable[str]) -> bool | tuple[str, ...]:
    if isinstance(attention, bool):
        return attention
    if isinstance(attention, str):
        attention = {"all": True, "none": False}.get(attention.strip(), [name.strip() for name in attention.split(",")])
    return attention if isinstance(attention, bool) else tuple(dict.fromkeys(attention))
