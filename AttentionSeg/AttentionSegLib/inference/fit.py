"""Warnings where a scan differs from a model's training data in modality, unit of the intensities, spacing or size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..image import Image, Note
from ..models import Card
from ..models.card import ACROSS

# Slices this many times thicker than those of the training data give a warning.
THICK = 2.5
SMALLER_THAN_REGION = 0.7
# Share of the size of the training data; less suggests that the voxel size is in another unit.
FAR_TOO_SMALL = 0.2
# The longest edge of a scan of a patient.
SMALLEST_MM, LARGEST_MM = 5.0, 3000.0
AIR_IN_HU = -500.0
# The offset that scanners and converters add to HU to store unsigned numbers, the range of soft tissue around it, and the highest value of air.
STORED_OFFSET, SOFT_TISSUE, STORED_AIR = 1024.0, 150.0, 200.0
STORED_HU = f"HU + {STORED_OFFSET:g}"
# The smallest share of soft tissue in a scan stored so: of all voxels, and of those above air. MR has no such peak.
SOFT_SHARE, SOFT_OF_BODY = 0.05, 0.6
# The look of a scan with at most this many different values, and the modality of inputs that need not be a scan.
FEW_VALUES, MOST_FEW, ANY_KIND = "few values", 32, "OT"
# Number of evenly spaced voxels from which the unit of the intensities is estimated.
SAMPLED = 20_000


@dataclass(frozen=True)
class ScanFacts:
    """Properties of one scan that are compared with the training data.

    Attributes:
        name: its name in messages.
        spacing: of the voxels in mm.
        extent: edges in mm, the shortest first; two of a single slice.
        intensities: their estimated unit or range: `HU`, `HU + 1024`, `0..1`, `0..255`, `few values`, or empty if none is recognized.
        modality: from DICOM; None if unknown.
        spacing_known: False for a 2D image without spacing (see `Image`).
    """

    name: str
    spacing: tuple[float, ...]
    extent: tuple[float, ...]
    intensities: str
    modality: str | None = None
    spacing_known: bool = True

    @classmethod
    def of(cls, name: str, voxels: np.ndarray, affine: np.ndarray, modality: str | None = None, spacing_known: bool = True) -> ScanFacts:
        """Make the facts of voxels [I, J, K] with an affine."""
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        extent = np.sort((spacing * voxels.shape)[np.array(voxels.shape) > 1])
        return cls(name, tuple(spacing.tolist()), tuple(extent.tolist()), look_of(voxels), modality, spacing_known)

    @property
    def looks_like(self) -> str | None:
        """The modality: from DICOM, else CT if the intensities are Hounsfield units, with or without an offset; None if unknown."""
        return self.modality or ("CT" if self.intensities in ("HU", STORED_HU) else None)


def look_of(voxels: np.ndarray) -> str:
    """The estimated unit or range of the intensities of a scan (see `ScanFacts.intensities`)."""
    sample = voxels.ravel(order="K")[:: max(1, voxels.size // SAMPLED)]
    sample = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    if not sample.size:
        return ""
    if 1 < len(np.unique(sample)) <= MOST_FEW:
        return FEW_VALUES
    low, high = float(sample.min()), float(sample.max())
    if low < AIR_IN_HU:
        return "HU"
    if low < 0:
        return ""
    if high <= 1 and sample.dtype.kind == "f":
        return "0..1"
    if high <= 255:
        return "0..255"
    soft = (np.abs(sample - STORED_OFFSET) <= SOFT_TISSUE).mean()
    return STORED_HU if soft >= SOFT_SHARE and soft >= SOFT_OF_BODY * (sample >= STORED_AIR).mean() else ""


def fit_notes(card: Card, scans: Sequence[ScanFacts | None]) -> list[str]:
    """One sentence for each way in which scans differ from what a model was trained on.

    Args:
        card: of the model.
        scans: one per input, in the order of the model's inputs; None for one that is not chosen yet.
    """
    notes: list[str] = []
    for channel, scan in zip(card.inputs, scans):
        if scan is not None:
            # Lengths mean nothing to a model of pixels.
            lengths = (_thickness, _size) if card.spacing_known else (_pixels,)
            notes += filter(None, [_modality(scan, channel.modality, card), *(differs(scan, card) for differs in lengths)])
    return notes


def image_fit(card: Card, image: Image) -> list[str]:
    """The sentences for the channels of an image."""
    names = [image.name] if image.channels == 1 else [f"{image.name} ({channel.name})" for channel in card.inputs]
    modalities = image.modalities or (None,) * image.channels
    known = image.spacing_known
    facts = [ScanFacts.of(name, voxels, image.affine, modality, known) for name, voxels, modality in zip(names, image.voxels, modalities)]
    return fit_notes(card, facts)


def rescaled(image: Image, card: Card) -> Image:
    """The image in HU where the model takes CT and a channel looks as if it was stored as HU + 1024; with a note, or unchanged."""
    return in_hu(image, [channel.modality for channel in card.inputs], [channel.name for channel in card.inputs])


def in_hu(image: Image, modalities: Sequence[str], names: Sequence[str] = ()) -> Image:
    """`rescaled` for channels of these modalities, with these names in the note, or else their numbers."""
    stored = [n for n, modality in enumerate(modalities) if n < image.channels and can_rescale(modality, look_of(image.voxels[n]))]
    if not stored:
        return image
    voxels = image.voxels.astype(np.result_type(image.voxels.dtype, np.int16))
    voxels[stored] -= voxels.dtype.type(STORED_OFFSET)
    which = "" if image.channels == 1 else ", ".join(names[n] if names else f"channel {n}" for n in stored)
    return replace(image, voxels=voxels, notes=(*image.notes, Note(f"{STORED_OFFSET:g} was subtracted from the intensities", which)))


def can_rescale(modality: str, look: str) -> bool:
    """Whether a scan with intensities that look like `look`, for an input of this modality, may be HU + 1024."""
    return modality == "CT" and look == STORED_HU


def _modality(scan: ScanFacts, wanted: str, card: Card) -> str:
    found, look = scan.looks_like, scan.intensities
    if found is not None and found != wanted and "CT" in (found, wanted):
        stored = f" stored as {look}" if found == "CT" and look == STORED_HU else ""
        return f"{scan.name} looks like {found}{stored}; the model was trained on {wanted}."
    if look == FEW_VALUES and wanted != ANY_KIND:
        return f"{scan.name} has only a few different values, as a label map has; give the scan that it was drawn on."
    if wanted != "CT" or look == "HU":
        return ""
    if can_rescale(wanted, look):
        return f"{scan.name} may be CT stored as {look}; the model was trained on HU. Have {STORED_OFFSET:g} subtracted (--rescale) if it is."
    if look:
        return f"{scan.name} has intensities of {look}, as photographs have; the model was trained on CT in HU."
    # A crop of a CT need not show air.
    return "" if card.needs_region else f"{scan.name} has no air below {AIR_IN_HU:g} HU; the model was trained on CT in HU."


def _pixels(scan: ScanFacts, card: Card) -> str:
    if not scan.spacing_known or set(scan.spacing) == {1.0}:
        return ""
    return (
        f"{scan.name} has pixels of {min(scan.spacing):.3g} mm; the model was trained on images of unknown pixel size and takes 1 mm for one of "
        "their pixels. Give the image without its spacing, such as a PNG file, if it has as many pixels as they had."
    )


def _thickness(scan: ScanFacts, card: Card) -> str:
    if card.slices is not None and not card.context:
        # Any distance between slices suits a network that sees one slice at a time.
        return ""
    thickest, known = max(scan.spacing), max(card.spacing)
    return f"{scan.name} has {thickest:.3g} mm between slices; the model was trained on {known:.3g} mm." if thickest > THICK * known else ""


def _size(scan: ScanFacts, card: Card) -> str:
    size = " x ".join(f"{length:.3g}" for length in scan.extent)
    if max(scan.extent) > LARGEST_MM:
        return f"{scan.name} is {size} mm large; check the unit of its voxel size."
    if card.region_size is None:
        if max(scan.extent) < SMALLEST_MM:
            return f"{scan.name} is only {size} mm large; check the unit of its voxel size."
        span = 0.0 if card.arrangement is None else float(np.ptp(list(card.arrangement.centers.values()), axis=0).max())
        return f"{scan.name} covers {size} mm; the structures that the model knows lie up to {span:.0f} mm apart." if max(scan.extent) < span else ""
    across = ACROSS[card.slices] if card.slices is not None and len(scan.extent) < 3 else None
    known = np.sort([edge for axis, edge in enumerate(card.region_size) if axis != across])[-len(scan.extent) :]
    share = np.array(scan.extent) / known
    if not (share < SMALLER_THAN_REGION).any():
        return ""
    unit = " Check the unit of its voxel size." if (share < FAR_TOO_SMALL).all() else ""
    return f"{scan.name} covers {size} mm; the model was trained on about {' x '.join(f'{length:.3g}' for length in known)} mm.{unit}"
