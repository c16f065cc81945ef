"""The options of a run: one record that panel, command line or call create, and that engine, report and manifest read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from .errors import InputError

LARGEST_OVERLAP = 0.9
ATTENTION_GRIDS = ("network", "input")
OTHER_WORDS = {"scan": "input"}
FORMATS = ("nrrd", "nii")
HIRESCAM, SEG_GRAD_CAM = EXPLAIN_METHODS = ("hirescam", "seg-grad-cam")
# Options of where a run computes, which do not change its result; of what the engine returns and no command writes; of which files are written;
# of how scans are read.
COMPUTING = ("device", "backend", "memory_limit_gb")
RETURNED = ("probabilities",)
WRITTEN = ("attention", "attention_grid", "explain", "explain_layer", "explain_method", "file_format", "dicom", "anonymize")
READ = ("regularize", "rescale")
PER_IMAGE = (*RETURNED, *WRITTEN, *READ)


@dataclass(frozen=True)
class KeywordOnly:
    """Base of dataclasses that take keyword arguments only (`kw_only` needs Python 3.10)."""

    def __new__(cls, **_values: Any) -> KeywordOnly:
        return super().__new__(cls)

    @classmethod
    def names(cls) -> list[str]:
        """The names of all fields."""
        return [field.name for field in fields(cls)]


@dataclass(frozen=True)
class RunOptions(KeywordOnly):
    """Options of a run, by keyword. Everything that can be checked without a model is checked here.

    Attributes:
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        backend: `auto` (OpenVINO on the CPU if it is installed, else torch), `torch` or `openvino`. OpenVINO converts a network once per computer,
            at the first run, which takes some seconds.
        memory_limit_gb: memory that a run may take, in GB; None for no limit. On a CUDA device a run that would need more uses smaller batches, or in
            the end the CPU, and its notes say so. On the CPU it is refused by an estimate (see `inference.memory_estimate.estimated_bytes`).
        mirroring: whether to run the network on the left-right mirror image of each patch as well; it always is if the card has `mirrored`.
        overlap: fraction of a patch that the next one covers again, 0..0.9; that of the card when None. More takes longer, and gives less weight to
            the edges of patches, where the network has little context.
        attention: which maps: all, none, or those named. May be given as text: `all`, `none` or names separated by commas.
        probabilities: whether to return them; they take 2 bytes per voxel and label.
        attention_grid: `network` for maps on the grid they have in the network, `input` for maps resampled to the image, 0 outside the region;
            `scan` means `input`.
        explain: names of labels, for each of which one more map `why <label>` shows which features raised it, as a share of its largest value (see
            `inference.explanation`).
        explain_layer: the layer of the network (see `Network.explained_layers`); its default when None.
        explain_method: `hirescam`, or `seg-grad-cam`, which weights all places of a patch alike.
        regularize: whether to resample DICOM slices on an irregular grid, such as of a tilted gantry or with two distances, to a regular one.
        rescale: whether to subtract 1024 from CT that seems to be stored as HU + 1024.
        file_format: of the files written, `nrrd` or `nii`.
        dicom: whether to write a DICOM segmentation of a DICOM series too (needs highdicom).
        anonymize: whether to leave the patient's name, ID and dates out of it.

    Raises:
        InputError: if a value is out of range.
    """

    device: str = "auto"
    backend: str = "auto"
    memory_limit_gb: float | None = None
    mirroring: bool = False
    overlap: float | None = None
    regularize: bool = False
    rescale: bool = False
    attention: bool | tuple[str, ...] = True
    probabilities: bool = False
    attention_grid: str = "network"
    explain: tuple[str, ...] = ()
    explain_layer: str | None = None
    explain_method: str = HIRESCAM
    file_format: str = "nrrd"
    dicom: bool = False
    anonymize: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "attention", named_maps(self.attention))
        object.__setattr__(self, "explain", tuple(dict.fromkeys([self.explain] if isinstance(self.explain, str) else self.explain)))
        object.__setattr__(self, "attention_grid", OTHER_WORDS.get(self.attention_grid, self.attention_grid))
        limit, overlap = self.memory_limit_gb, self.overlap
        msg = None
        if limit is not None and not (math.isfinite(limit) and limit > 0):
            msg = f"The memory limit is {limit:g} GB; give a number above 0, or none for no limit."
        elif overlap is not None and not 0 <= overlap <= LARGEST_OVERLAP:
            msg = f"The overlap of patches is {overlap:g}; give a number from 0 to {LARGEST_OVERLAP:g}, such as 0.5 for half of a patch."
        elif self.attention_grid not in ATTENTION_GRIDS:
            msg = f"There is no attention grid '{self.attention_grid}'; choose one of {', '.join(ATTENTION_GRIDS)}."
        elif self.explain_method not in EXPLAIN_METHODS:
            msg = f"There is no method of explanation '{self.explain_method}'; choose one of {', '.join(EXPLAIN_METHODS)}."
        elif self.file_format not in FORMATS:
            msg = f"There is no format '{self.file_format}'; choose one of {', '.join(FORMATS)}."
        if msg:
            raise InputError(msg)

    def for_image(self, changes: dict[str, Any]) -> RunOptions:
        """A copy with changes for one image. Raises TypeError for options that are fixed once the model is loaded."""
        fixed = changes.keys() - {*PER_IMAGE}
        if fixed:
            msg = f"{', '.join(sorted(fixed))} cannot be chosen for one image; choose it for the Predictor."
            raise TypeError(msg)
        return replace(self, **changes) if changes else self

    def default(self, names: Sequence[str]) -> RunOptions:
        """A copy with the options of these names at their defaults."""
        defaults: dict[str, Any] = {field.name: field.default for field in fields(self) if field.name in names}
        return replace(self, **defaults)

    @property
    def explains_as_usual(self) -> bool:
        """Whether labels are explained at the network's own layer and by the default method, as those that model cards have figures of."""
        return self.explain_layer is None and self.explain_method == HIRESCAM

    def of_image(self) -> dict[str, Any]:
        """The options that may be chosen for each image."""
        return {name: getattr(self, name) for name in PER_IMAGE}

    def of_result(self) -> dict[str, Any]:
        """The options that change the numbers of a result, as JSON types."""
        return {name: getattr(self, name) for name in self.names() if name not in (*COMPUTING, *RETURNED, *WRITTEN)}

    def of_files(self) -> dict[str, Any]:
        """The options that change the files of a case, as JSON types."""
        attention = self.attention if isinstance(self.attention, bool) else list(self.attention)
        # Left out if not used, so that results of earlier versions count as up to date.
        grid = {"attention_grid": self.attention_grid} if self.attention_grid != "network" else {}
        explaining = {"explain": list(self.explain), "explain_layer": self.explain_layer, "explain_method": self.explain_method}
        explained = explaining if self.explain else {}
        without_name = {"anonymize": True} if self.anonymize else {}
        others = {**grid, **explained, **without_name}
        return {"attention": attention, "format": self.file_format, "dicom": self.dicom, **others, **self.of_result()}


def named_maps(attention: bool | str | Iterable[str]) -> bool | tuple[str, ...]:
    """The maps of `RunOptions.attention` from a text (`all`, `none`, or names with commas between them) or from names."""
    if isinstance(attention, bool):
        return attention
    if isinstance(attention, str):
        attention = {"all": True, "none": False}.get(attention.strip(), [name.strip() for name in attention.split(",")])
    return attention if isinstance(attention, bool) else tuple(dict.fromkeys(attention))
