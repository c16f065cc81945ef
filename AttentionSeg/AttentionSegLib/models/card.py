"""The card of a trained model: its description, inputs, labels and settings, validated against a JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..network_names import check_network
from .arrangement import Arrangement, parse_arrangement
from .card_schema import LARGEST_CARD, check_schema
from .channels import Channel, are_colors, scans_of
from .found_by import FindingModel, FoundBy, parse_found_by
from .terms import Label, parse_label

CARD_NAME = "model.json"
WEIGHTS_NAME = "weights.safetensors"
THUMBNAIL_NAME = "thumbnail.png"


@dataclass(frozen=True)
class Card:
    """A validated `model.json`. The fields are documented in `card.schema.json`.

    `raw` is the whole document, including the descriptive parts that no code reads.
    """

    id: str
    version: str
    title: str
    description: str
    network: str
    network_arguments: dict[str, Any]
    inputs: tuple[Channel, ...]
    spacing: tuple[float, float, float]
    spacing_known: bool
    orientation: str
    slices: str | None
    context: int
    patch_size: tuple[int, int, int]
    overlap: float
    mirrored: bool
    labels: tuple[Label, ...]
    field_of_view: str
    region_size: tuple[float, float, float] | None
    found_by: FoundBy | None
    arrangement: Arrangement | None
    largest_foreground: bool
    largest_component: frozenset[int]
    fill_holes: frozenset[int]
    side_pairs: tuple[tuple[int, int], ...]
    weights_sha256: str
    weights_bytes: int
    weights_license: str
    intended_use: str
    limits: tuple[str, ...]
    raw: dict[str, Any] = field(repr=False)

    @property
    def needs_region(self) -> bool:
        return self.field_of_view == "region"

    @property
    def region_edges(self) -> tuple[float, float, float]:
        """`region_size` of a model that needs a region. Raises ValueError for another."""
        if self.region_size is None:
            msg = f"The model {self.id} segments whole scans."
            raise ValueError(msg)
        return self.region_size

    @property
    def scans(self) -> tuple[Channel, ...]:
        """What a user gives for the inputs (see `scans_of`)."""
        return scans_of(self.inputs)

    @property
    def in_colors(self) -> bool:
        """Whether the inputs are the three channels of a color image."""
        return are_colors([channel.name for channel in self.inputs])

    @property
    def in_channels(self) -> int:
        """Channels of the network: the inputs of a slice and of its neighbors."""
        return len(self.inputs) * (2 * self.context + 1)

    @property
    def slice_axis(self) -> int | None:
        """The working axis perpendicular to the slices of a 2D network; None for 3D networks."""
        if self.slices is None:
            return None
        return next(axis for axis, letter in enumerate(self.orientation) if _AXIS[letter] == ACROSS[self.slices])

    @property
    def mirroring(self) -> tuple[int, list[int]] | None:
        """The working axis from left to right, and by label value from 0 the one in a mirror image; None if training scans were not mirrored so."""
        training = self.raw.get("training", {})
        axis = next(axis for axis, letter in enumerate(self.orientation) if letter in "LR")
        if axis not in training.get("mirror_axes", ()):
            return None
        values = list(range(len(self.labels) + 1))
        for one, other in training.get("mirror_swaps", ()):
            values[one], values[other] = other, one
        return axis, values

    def fault_as_finder(self, source: FindingModel, modalities: Sequence[str]) -> str | None:
        """What keeps this model from finding the regions of one with inputs of these modalities, as the rest of a sentence; None if nothing does."""
        known = [label.name for label in self.labels]
        missing = [region.label for region in source.regions if region.label not in known]
        if missing:
            return f"has no label '{missing[0]}', only {', '.join(known)}"
        if self.found_by is not None:
            return "has regions to be found itself"
        if self.needs_region:
            return "needs a region itself"
        inputs = [channel.modality for channel in self.inputs]
        return None if inputs == list(modalities) else f"has other inputs ({', '.join(inputs)})"

    @classmethod
    def load(cls, path: Path) -> Card:
        """Read and validate a card.

        Args:
            path: the `model.json`.

        Raises:
            InputError: if the file is missing or unreadable, is not JSON, or breaks the schema (naming the first field that does).
        """
        try:
            found = Path(path).stat()
            # A copy for each caller, because parts of a card are mutable.
            return deepcopy(_load(Path(path), found.st_mtime_ns, found.st_size))
        except OSError as error:
            msg = f"The model card {path} cannot be read ({error}); restore the file or install the model again."
            raise InputError(msg) from error

    @classmethod
    def from_document(cls, document: dict[str, Any], source: str = "model card") -> Card:
        """Validate a parsed card against the schema and further rules. Raises InputError."""
        check_schema(document, source)
        labels = tuple(parse_label(entry, document["id"]) for entry in document["labels"])
        post = document.get("postprocessing", {})
        region = document["field_of_view"].get("size_mm")
        card = cls(
            id=document["id"],
            version=document["version"],
            title=document["title"],
            description=document["description"],
            network=document["network"]["name"],
            network_arguments=dict(document["network"]["arguments"]),
            inputs=tuple(Channel(c["name"], c["modality"], dict(c["normalization"])) for c in document["inputs"]),
            spacing=tuple(document["spacing_mm"]),
            spacing_known=document.get("spacing_known", True),
            orientation=document["orientation"],
            slices=document.get("slices"),
            context=document.get("context", 0),
            patch_size=tuple(document["patch_size"]),
            overlap=document["overlap"],
            mirrored=document.get("mirrored", False),
            labels=labels,
            field_of_view=document["field_of_view"]["kind"],
            region_size=tuple(region) if region else None,
            found_by=parse_found_by(document["found_by"]) if "found_by" in document else None,
            arrangement=parse_arrangement(document["arrangement"]) if "arrangement" in document else None,
            largest_foreground=post.get("largest_foreground", False),
            largest_component=frozenset(post.get("largest_component", ())),
            fill_holes=frozenset(post.get("fill_holes", ())),
            side_pairs=tuple((one, other) for one, other in document.get("training", {}).get("mirror_swaps", ()) if post.get("separate_sides")),
            weights_sha256=document["weights"]["sha256"],
            weights_bytes=document["weights"]["bytes"],
            weights_license=document["weights"]["license"],
            intended_use=document["intended_use"],
            limits=tuple(document["limits"]),
            raw=document,
        )
        card._check_consistency(source)
        return card

    def _check_consistency(self, source: str) -> None:
        check_network(self.network)
        values = [label.value for label in self.labels]
        wrong = None
        if values != list(range(1, len(values) + 1)):
            wrong = f"label values {values}; they must be 1, 2, ... in order"
        elif len({label.name for label in self.labels}) < len(values):
            wrong = "two labels of the same name; every label needs a name of its own"
        elif not (self.largest_component | self.fill_holes) <= set(values):
            wrong = "post-processing for a label that it does not have"
        elif not {value for pair in self.raw.get("training", {}).get("mirror_swaps", ()) for value in pair} <= set(values):
            wrong = "mirror_swaps for a label that it does not have"
        elif self.raw.get("postprocessing", {}).get("separate_sides") and not self.side_pairs:
            wrong = "separate_sides without mirror_swaps in 'training'; leave it out, or name the pairs"
        elif self.mirrored and self.mirroring is None:
            wrong = "'mirrored' without the axis from left to right in mirror_axes of 'training'; leave it out"
        elif self.found_by is not None and (self.largest_foreground or self.side_pairs):
            wrong = "largest_foreground or separate_sides beside found_by, whose regions are segmented one by one; leave it out"
        elif self.arrangement is not None and (self.needs_region or not set(self.arrangement.centers) <= set(values)):
            wrong = "an arrangement of labels that it does not have, or for a model of regions; leave it out"
        elif sorted(_AXIS[letter] for letter in self.orientation) != [0, 1, 2]:
            wrong = f"orientation '{self.orientation}'; it must name each axis once, such as RAS"
        elif (self.network_arguments.get("spatial_dims") == 2) != (self.slices is not None):
            wrong = "a network for 2D slices without 'slices', or 'slices' beside another network; name the slices if and only if spatial_dims is 2"
        elif self.slice_axis is not None and self.patch_size[self.slice_axis] != 1:
            wrong = f"patches of {self.patch_size} voxels for {self.slices} slices; across the slices it must be 1"
        elif self.context and self.slices is None:
            wrong = "a 'context' of neighbors without 'slices'; leave it out, or name the slices"
        elif self.needs_region and self.region_size is None:
            wrong = "field of view 'region' without size_mm"
        elif self.found_by is not None and not self.needs_region:
            wrong = "found_by for a model of whole scans; leave it out, or make the field of view a region"
        elif self.found_by is not None and len({region.name for region in self.found_by.regions}) < len(self.found_by.regions):
            wrong = "two regions of the same name in found_by; every region needs a name of its own"
        else:
            wrong = next(filter(None, (channel.wrong_range for channel in self.inputs)), None)
        if wrong:
            msg = f"{source} has {wrong}; correct the card or install the model again."
            raise InputError(msg)


def with_weights(document: dict[str, Any], sha256: str, size: int) -> dict[str, Any]:
    """A card with checksum and size in bytes of its weights; their license stays."""
    given = document.get("weights")
    return {**document, "weights": {**(given if isinstance(given, dict) else {}), "sha256": sha256, "bytes": size}}


# By name of slices, their perpendicular axis among right, anterior, superior.
ACROSS = {"sagittal": 0, "coronal": 1, "axial": 2}
_AXIS = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}


@lru_cache(maxsize=256)
def _load(path: Path, _modified: int, size: int) -> Card:
    """A card, cached by time and size of its file, because validation takes tens of milliseconds and cards are read often."""
    if size > LARGEST_CARD:
        msg = f"The model card {path} has {size / 1e6:.1f} MB and may have {LARGEST_CARD / 1e6:.0f} MB; install the model again."
        raise InputError(msg)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"The model card {path} cannot be read ({error}); restore the file or install the model again."
        raise InputError(msg) from error
    return Card.from_document(document, str(path))
