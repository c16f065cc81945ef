"""The list of models in the panel: titles, descriptions, and order by suitability for a volume."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from ..inference.fit import ANY_KIND
from ..models import Card, list_models
from ..models.card import CARD_NAME, THUMBNAIL_NAME
from ..models.catalogue import model_folders
from ..models.channels import Channel, are_colors, scans_of
from ..mrml.fit import fit_hints, lacks_region, misfit
from ..mrml.provenance import MODEL_ID, WEIGHTS
from .translation import tr as _


@dataclass(frozen=True)
class ModelChoice:
    """A model as listed in the panel.

    Attributes:
        id: of the model, or the name of its folder while cards cannot be read.
        title: one line for the list.
        text: one sentence on what it segments, or why it cannot be used.
        more: inputs, labels, intended use and license.
        modalities: of its scans, such as `("MR",)`; empty if unknown.
        slices: that it works on, such as `axial`; None if it works on volumes.
        in_colors: whether it takes images in colors.
        folder: of the model.
        card: None while `jsonschema` is not installed, and for a model that cannot be used.
        usable: whether it can be run.
    """

    id: str
    title: str
    text: str
    folder: Path
    card: Card | None
    usable: bool = True
    more: str = ""
    modalities: tuple[str, ...] = ()
    slices: str | None = None
    in_colors: bool = False

    @property
    def thumbnail(self) -> Path | None:
        """Path of the model's thumbnail; None if it has none."""
        path = self.folder / THUMBNAIL_NAME
        return path if path.is_file() else None

    @property
    def channels(self) -> list[str]:
        """Name and modality of each input."""
        return [_named(channel.name, channel.modality) for channel in self.card.scans] if self.card else [_("Volume")]

    @property
    def can_mirror(self) -> bool:
        """Whether the mirror image can be segmented as well; True while the card cannot be read."""
        return self.card is None or self.card.mirroring is not None

    @property
    def always_mirrors(self) -> bool:
        """Whether the mirror image is segmented as well in every run."""
        return self.card is not None and self.card.mirrored

    def matches(self, search: str) -> bool:
        """Whether the model's description contains every word of a search."""
        description = f"{self.id} {self.title} {self.text} {self.more}".lower()
        return all(word in description for word in search.lower().split())


def model_choices() -> list[ModelChoice]:
    """All installed models, by id."""
    if importlib.util.find_spec("jsonschema") is None:
        cards = {card.parent.name: card for folder in model_folders() for card in sorted(folder.glob(f"[!.]*/{CARD_NAME}"))}
        return [_unchecked(card) for _name, card in sorted(cards.items())]
    return [
        _choice(entry.id, entry.card.raw, entry.folder, entry.card) if entry.card else _broken(entry.id, str(entry.problem), entry.folder)
        for entry in list_models()
    ]


def card_of(nodes: Sequence[slicer.vtkMRMLNode]) -> dict[str, Any]:
    """The document of the card of the model that made the nodes of a result; empty if no installed model has its weights."""
    made = [(node.GetAttribute(MODEL_ID), node.GetAttribute(WEIGHTS)) for node in nodes[:1]]
    installed = model_choices() if made else ()
    return next((model.card.raw for model in installed if model.card and (model.id, model.card.weights_sha256) in made), {})


def by_fit(
    models: Sequence[ModelChoice], volume: slicer.vtkMRMLScalarVolumeNode | None, has_region: bool = False
) -> tuple[list[ModelChoice], dict[str, str]]:
    """Models ordered by suitability for a volume, and by model id the reason why one does not suit it.

    Order: models of the volume's kind first, then those that need no region from the user, then those whose training data resembles the volume;
    then by id. Models that cannot be used come last.
    """
    misfits = {}
    if volume is not None:
        found = ((model.id, misfit(model.modalities, model.slices, model.in_colors, volume)) for model in models if model.modalities)
        misfits = {model_id: reason for model_id, reason in found if reason}

    def rank(model: ModelChoice) -> tuple:
        card = model.card if volume is not None and volume.GetImageData() is not None else None
        lacks = card is not None and not has_region and lacks_region(card, volume)
        unusual = card is not None and bool(fit_hints(card, [volume]))
        return not model.usable, model.id in misfits, len(model.modalities) > 1, lacks, unusual, model.id

    return sorted(models, key=rank), misfits


def _choice(model_id: str, document: dict[str, Any], folder: Path, card: Card | None) -> ModelChoice:
    inputs = [Channel(channel["name"], channel["modality"], channel["normalization"]) for channel in document["inputs"]]
    return ModelChoice(
        id=model_id,
        title=document["title"],
        text=document["description"],
        folder=folder,
        card=card,
        more=_more(document),
        modalities=tuple(scan.modality for scan in scans_of(inputs)),
        slices=document.get("slices"),
        in_colors=are_colors([channel.name for channel in inputs]),
    )


def _more(document: dict[str, Any]) -> str:
    """Title, inputs, labels, intended use and license from a card."""
    labels = ", ".join(label["name"] for label in document["labels"])
    inputs = ", ".join(_named(channel["name"], channel["modality"]) for channel in document["inputs"])
    return "\n".join(
        [
            document["title"],
            _("Input: {inputs}. Segments: {labels}.").format(inputs=inputs, labels=labels),
            _("Intended use: {use}").format(use=document["intended_use"]),
            _("License of the weights: {license}.").format(license=document["weights"]["license"]),
        ]
    )


def _named(name: str, modality: str) -> str:
    """An input in words: its name, with the modality unless that is the same or says nothing."""
    if modality == ANY_KIND:
        return _("Image") if name == modality else name
    return name if name == modality else f"{name} ({modality})"


def _unchecked(card: Path) -> ModelChoice:
    """A model whose card is shown without validation, because `jsonschema` is not installed."""
    try:
        return _choice(card.parent.name, json.loads(card.read_text(encoding="utf-8")), card.parent, None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = _("The model card {path} cannot be read ({error}).").format(path=card, error=error)
        return _broken(card.parent.name, text, card.parent)


def _broken(model_id: str, problem: str, folder: Path) -> ModelChoice:
    return ModelChoice(model_id, _("{id} (cannot be used)").format(id=model_id), problem, folder, None, usable=False)
