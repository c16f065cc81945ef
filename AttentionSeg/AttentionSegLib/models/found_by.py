"""The block `found_by` of a card: how the regions of a model that segments a region only are found in a whole scan."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from ..errors import InputError
from .terms import Code

# Bytes of the file, as in the schema, and of its unpacked content, which could fill a disk even from a file of a few kB.
LARGEST_TEMPLATE, LARGEST_UNPACKED = 1_000_000, 32_000_000
NIFTI_HEADER, NIFTI_UINT8 = 352, 2


# Laterality of regions of these names, unless the card states another.
LATERALITY = {"right": Code("SCT", "24028007", "Right"), "left": Code("SCT", "7771000", "Left")}


@dataclass(frozen=True)
class FoundRegion:
    """A region to find: its name, and its side of the patient, if any."""

    name: str
    laterality: Code | None = None


@dataclass(frozen=True)
class TemplateRegion(FoundRegion):
    """A region in a template, with its center in RAS mm."""

    center: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class LabeledRegion(FoundRegion):
    """A region around a label, given by name, of another model."""

    label: str = ""


@dataclass(frozen=True)
class Template:
    """Regions are found by registration of a template to the scan.

    Attributes:
        file: name of the template in the model folder.
        sha256, bytes: of the file.
        license, source: of the template, as text.
        regions: the regions in it.
    """

    file: str
    sha256: str
    bytes: int
    license: str
    source: str
    regions: tuple[TemplateRegion, ...]


@dataclass(frozen=True)
class FindingModel:
    """Regions are found around labels that another model segments in the whole scan.

    Attributes:
        model: id of the other model.
        regions: the regions, each with its label.
    """

    model: str
    regions: tuple[LabeledRegion, ...]

    @classmethod
    def parse(cls, text: str) -> FindingModel:
        """Parse `MODEL:LABEL`, or for a pair of sides `MODEL:right=LABEL,left=LABEL`. Raises InputError if it is neither."""
        model, _, labels = (part.strip() for part in text.partition(":"))
        # Names of labels may contain commas and equals signs.
        parts = [part.partition("=") for part in re.split(r",\s*(?=(?:right|left)\s*=)", labels)]
        sides = {side.strip(): label.strip() for side, _, label in parts}
        if not set(sides) <= set(LATERALITY):
            sides = {labels: labels}
        if not model or not all(sides.values()) or len(sides) < len(parts):
            msg = f"'{text}' does not say what finds the regions; give MODEL:LABEL, or MODEL:right=LABEL,left=LABEL for a pair of sides."
            raise InputError(msg)
        return cls(model, tuple(LabeledRegion(name, LATERALITY.get(name), label) for name, label in sides.items()))

    @property
    def document(self) -> dict[str, Any]:
        """The block `found_by` of a card."""
        return {"kind": "model", "model": self.model, "labels": {region.name: region.label for region in self.regions}}


FoundBy = Union[Template, FindingModel]


def parse_found_by(block: dict[str, Any]) -> FoundBy:
    """Parse the block `found_by` of a document that is valid by the schema."""
    if block["kind"] == "model":
        return FindingModel(block["model"], tuple(LabeledRegion(name, LATERALITY.get(name), label) for name, label in block["labels"].items()))
    regions = tuple(_region(entry) for entry in block["regions"])
    return Template(block["file"], block["sha256"], block["bytes"], block["license"], block["source"], regions)


def check_template(content: bytes, template: Template, source: str) -> None:
    """Raise InputError unless the content of a template's file matches the card and is safe to unpack."""
    wrong = None
    if hashlib.sha256(content).hexdigest() != template.sha256:
        wrong = f"is not the template of the card (its SHA-256 differs, {len(content)} of {template.bytes} bytes)"
    elif not _is_small_nifti(content):
        wrong = f"is not a NIfTI image of one byte a voxel and at most {LARGEST_UNPACKED / 1e6:.0f} MB unpacked"
    if wrong:
        msg = f"'{template.file}' of {source} {wrong}; get the model again."
        raise InputError(msg)


def checked_template(folder: Path, template: Template) -> Path:
    """The file of a template in a model folder. Raises InputError if it is missing or does not match the card (see `check_template`)."""
    path = Path(folder) / template.file
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"The template {path} cannot be read ({error.strerror}); install the model again."
        raise InputError(msg) from error
    check_template(content, template, str(folder))
    return path


def _region(entry: dict[str, Any]) -> TemplateRegion:
    laterality = Code(**entry["laterality"]) if "laterality" in entry else None
    return TemplateRegion(entry["name"], laterality, tuple(entry["center_mm"]))


def _is_small_nifti(content: bytes) -> bool:
    try:
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        unpacked = unpacker.decompress(content, LARGEST_UNPACKED)
    except (zlib.error, gzip.BadGzipFile):
        return False
    header = unpacked[:NIFTI_HEADER]
    return unpacker.eof and not unpacker.unused_data and header[344:348] == b"n+1\0" and int.from_bytes(header[70:72], "little") == NIFTI_UINT8
