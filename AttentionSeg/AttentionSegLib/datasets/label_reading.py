"""Reading of label maps: values and segments to labels, and voxels to the grid of the scan."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import read_label_layers
from ..files.listed_segment import Segment
from ..files.segments import read_segments
from ..image import Image, Note
from ..same_grid import place_on
from ..written_names import same_name
from .label_names import match_names, quoted

# Largest deviation of a value from a whole number; that of header slopes and conversions to float is smaller.
ROUNDING = 0.01
WHOLE = re.compile(r"-?\d+")


@dataclass(frozen=True)
class LabelReading:
    """Options for reading label maps.

    Attributes:
        label_map: by value or segment name, the value it is read as; 0 is background.
        resample: whether to resample a label map on another grid to that of its scan by nearest neighbor, and drop labels outside of it.
        ignored_label: the ignore label, after `label_map` is applied.
        names: tables of label names by value, in which the segments of a file are looked up; the first one that contains all of them is used.
    """

    label_map: Mapping[int | str, int] = field(default_factory=dict)
    resample: bool = False
    ignored_label: int | None = None
    names: Sequence[Mapping[int, str]] = ()

    def __post_init__(self) -> None:
        if self.ignored_label == 0:
            msg = "The value 0 is background and cannot be ignored; have it read as another value (--label-map 0=255 --ignored-label 255)."
            raise InputError(msg)

    def with_names(self, *tables: Mapping[int, str]) -> LabelReading:
        return dataclasses.replace(self, names=tables)

    @property
    def settings(self) -> list[Any]:
        """The options that change the voxels of a case, as JSON types; empty if all are defaults."""
        unchanged = self == LabelReading(ignored_label=self.ignored_label)
        return [] if unchanged else [dict(self.label_map), self.resample, [dict(table) for table in self.names]]

    def mapped_segment(self, name: str) -> int | None:
        """The value of a segment by `label_map`; None if it is not in there."""
        return next((value for key, value in self.label_map.items() if isinstance(key, str) and same_name(key, name)), None)


AS_STORED = LabelReading()


def parse_label_map(text: str) -> dict[int | str, int]:
    """Parse text such as `4=3,Cyst=0` as a `label_map`. Names may contain commas. Raises InputError if it is not such a list."""
    found: dict[int | str, int] = {}
    pending = ""
    for part in text.split(","):
        pending += part
        key, equals, value = pending.rpartition("=")
        if not equals:
            pending += ","
            continue
        if not key.strip() or not value.strip().isdecimal():
            break
        found[int(key) if WHOLE.fullmatch(key.strip()) else key.strip()] = int(value)
        pending = ""
    if pending or not found:
        msg = f"The label map '{text}' is not a list of pairs; give pairs such as 4=3,Cyst=0: a value or segment name, and the value to read it as."
        raise InputError(msg)
    return found


def read_labels(path: Path, reading: LabelReading) -> tuple[Image, list[Note]]:
    """The label values [1, I, J, K] of a file, on its own grid, and notes on tolerated deviations.

    Values within 0.01 of a whole number are rounded, and NaN is background.

    Raises:
        InputError: if the file cannot be read, holds fractions, segments overlap, or the name of a segment matches no label.
    """
    layers = read_label_layers(path)
    segments = read_segments(path)
    if segments:
        labels, notes = _labels_of_segments(layers, segments, reading)
        return labels, [*layers.notes, *notes]
    if layers.channels > 1:
        msg = f"{path} has {layers.channels} values per voxel, and no names of segments; give a label map with one value per voxel."
        raise InputError(msg)
    voxels, notes = _whole(layers)
    voxels, used = _mapped(voxels, reading.label_map)
    return dataclasses.replace(layers, voxels=voxels), [*layers.notes, *notes, *_unused(reading, used)]


def labels_on_scan(label: Image, scan: Image, resample: bool, words: tuple[str, str] = ("label map", "scan")) -> tuple[Image, list[Note]]:
    """A label map [1, I, J, K] on the grid of its scan.

    Voxels at the same positions are reordered, without loss. Positions up to a tenth of a voxel apart count as the same. A picture, which has no
    place, has to have the size of its scan, and is laid over it pixel by pixel.

    Args:
        label: values; 0 is background.
        scan: with the target grid.
        resample: whether to resample by nearest neighbor if the grids differ more than that, and to drop labels outside of the scan.
        words: for both in messages.

    Raises:
        InputError: if all labels are outside of the scan, or a picture has another size than its scan; without `resample` also if the grids differ
            or some labels are outside.
    """
    what, grid = words
    if not label.spacing_known:
        return _laid_over(label, scan, words)
    labeled = int(np.count_nonzero(label.voxels))
    placement = place_on(label, scan)
    if placement is not None and placement.is_near:
        voxels = placement.rearrange(label.voxels, scan.shape)
        beside = Note(f"The {what} lies less than a tenth of a voxel beside its {grid}", f"{placement.apart_mm:.2g} mm")
        notes = [] if placement.is_exact else [beside]
        start = placement.start(label.shape)
        if start.any() and sorted(label.shape) == sorted(scan.shape):
            # A crop rarely has the size of its scan, so the header may be wrong.
            notes.append(Note(f"The {what} is as large as its {grid}, but lies beside it", f"by {' x '.join(map(str, start))} voxels"))
    elif resample:
        voxels = _nearest(label, scan)
        notes = [Note(f"The {what} was resampled by nearest neighbor to the grid of its {grid}", _difference(label, scan))]
    else:
        msg = (
            f"{_difference(label, scan)}: {scan.name} and its {what} {label.name}; resample the {what} to the grid of the {grid}, or have it "
            "done by nearest neighbor (--resample-labels)."
        )
        raise InputError(msg)
    # Counted only without resampling, which changes the number of labeled voxels.
    lost = labeled - int(np.count_nonzero(voxels)) if placement is not None and placement.is_near else 0
    if labeled and not voxels.any():
        msg = f"All labels of {label.name} lie outside of {scan.name}; give the {what} of this {grid}."
        raise InputError(msg)
    if lost and not resample:
        msg = (
            f"{lost} of {labeled} labeled voxels of {label.name} lie outside of {scan.name}; give the {what} of this {grid}, or "
            "have them left out (--resample-labels)."
        )
        raise InputError(msg)
    if lost:
        notes.append(Note(f"Labels outside of the {grid} were left out", f"{lost} of {labeled} voxels"))
    return Image(voxels, scan.affine, label.name), notes


def _laid_over(label: Image, scan: Image, words: tuple[str, str]) -> tuple[Image, list[Note]]:
    what, grid = words
    if label.shape != scan.shape:
        sizes = [" x ".join(map(str, image.shape)) for image in (label, scan)]
        msg = f"{label.name} has {sizes[0]} pixels and {scan.name} {sizes[1]}, and a picture has no place; give a {what} in the size of its {grid}."
        raise InputError(msg)
    note = Note(f"The {what} is a picture, which has no place, and was laid over its {grid} pixel by pixel")
    return Image(label.voxels, scan.affine, label.name), [note] if scan.spacing_known else []


def _labels_of_segments(layers: Image, segments: Sequence[Segment], reading: LabelReading) -> tuple[Image, list[Note]]:
    """Segments as label values: by name if label names are known, else by the numbers of the file."""
    values, notes = _segment_values(layers, segments, reading)
    voxels = np.zeros((1, *layers.shape), np.int32)
    owner = np.zeros(layers.shape, np.int16)
    for number, (segment, value) in enumerate(zip(segments, values), start=1):
        if segment.layer >= layers.channels:
            msg = f"{layers.name} has no layer {segment.layer} for the segment {quoted([segment.name])}; save the segmentation again."
            raise InputError(msg)
        mask = layers.voxels[segment.layer] == segment.value
        shared = np.bincount(owner[mask], minlength=number)
        other = int(shared[1:].argmax()) + 1 if shared[1:].any() else 0
        if other:
            msg = (
                f"The segments {quoted([segments[other - 1].name, segment.name])} of {layers.name} overlap in {shared[other]} voxels, and every "
                "voxel can have one label; remove the overlap in the Segment Editor (for example Logical operators, Subtract)."
            )
            raise InputError(msg)
        owner[mask] = number
        voxels[0, mask] = value
    return dataclasses.replace(layers, voxels=voxels), notes


def _segment_values(layers: Image, segments: Sequence[Segment], reading: LabelReading) -> tuple[list[int], list[Note]]:
    given = [reading.mapped_segment(segment.name) for segment in segments]
    open_names = [segment.name for segment, value in zip(segments, given) if value is None]
    if not reading.names:
        # Numbers in different layers are unrelated, so the order of the segments is used.
        numbers = range(1, len(segments) + 1) if layers.channels > 1 else [segment.value for segment in segments]
        return [reading.label_map.get(number, number) if value is None else value for value, number in zip(given, numbers)], []
    found, taken = match_names(open_names, reading.names, layers.name)
    used = [key for key in reading.label_map if isinstance(key, str) and any(same_name(key, segment.name) for segment in segments)]
    pairs = sorted(f"{quoted([name], [label])} for {quoted([label], [name])}" for name, label in taken)
    notes = [Note("Segments were taken for the labels that share their words", ", ".join(pairs))] if pairs else []
    notes += _unused(reading, used)
    return [found[segment.name] if value is None else value for segment, value in zip(segments, given)], notes


def _whole(label: Image) -> tuple[np.ndarray, list[Note]]:
    """Values as whole numbers. Raises InputError for fractions."""
    voxels, notes = label.voxels, []
    if voxels.dtype.kind != "f":
        return voxels, []
    missing = np.isnan(voxels)
    if missing.any():
        voxels = np.where(missing, 0, voxels)
        notes.append(Note("Voxels of the label map that are not numbers (NaN) are read as background", f"{np.count_nonzero(missing)} voxels"))
    whole = np.rint(voxels)
    with np.errstate(invalid="ignore"):
        wrong = voxels[~(np.abs(voxels - whole) <= ROUNDING) | (np.abs(whole) >= np.iinfo(np.int32).max)]
    if wrong.size:
        msg = f"{label.name} holds fractions, such as {wrong[0]:g}; give a label map with whole numbers, 0 for background."
        raise InputError(msg)
    off = float(np.abs(voxels - whole).max(initial=0))
    if off:
        notes.append(Note("Values of the label map were rounded to whole numbers", f"by {off:.1g}"))
    return whole.astype(np.int32), notes


def _mapped(voxels: np.ndarray, label_map: Mapping[int | str, int]) -> tuple[np.ndarray, list[int]]:
    """The values as they are read, and the keys that occur."""
    found = {key: mask for key in label_map if not isinstance(key, str) and (mask := voxels == key).any()}
    result = voxels.astype(np.result_type(voxels.dtype, np.int32)) if found else voxels
    for key, mask in found.items():
        result[mask] = label_map[key]
    return result, list(found)


def _unused(reading: LabelReading, used: Sequence[int | str]) -> list[Note]:
    return [Note(f"The label map has no '{key}', which --label-map names,", of_all=True) for key in reading.label_map if key not in used]


def _nearest(label: Image, scan: Image) -> np.ndarray:
    # Imported here because SimpleITK is slow to import, and most label maps are on the grid of their scan.
    import SimpleITK

    from ..files.itk import array, to_itk

    values = dataclasses.replace(label, voxels=label.voxels.astype(np.float64))
    moved = SimpleITK.Resample(to_itk(values), to_itk(scan), SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0.0)
    return array(moved)[None].astype(label.voxels.dtype)


def _difference(label: Image, scan: Image) -> str:
    placement = place_on(label, scan)
    if placement is not None:
        return f"The voxels lie up to {placement.apart_mm:.3g} mm apart"
    sizes = " and ".join(" x ".join(f"{length:.4g}" for length in image.spacing) + " mm" for image in (scan, label))
    return f"The voxels differ in size or direction ({sizes})"
