"""The models to choose from, in words."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models import Card, list_models
from ..models.card import CARD_NAME, THUMBNAIL_NAME
from ..models.catalogue import model_folders
from .translation import tr as _


@dataclass(frozen=True)
class ModelChoice:
    """A model as the panel offers it.

    Attributes:
        id: of the model, or of its folder while cards cannot be read.
        title: one line for the list.
        text: description, inputs, labels, intended use and license; or why it cannot be used.
        folder: where it lies.
        card: None while `jsonschema` is not installed, and for a model that cannot be used.
        usable: whether it can be chosen to run.
    """

    id: str
    title: str
    text: str
    folder: Path
    card: Card | None
    usable: bool = True

    @property
    def thumbnail(self) -> Path | None:
        """A picture of what the model segments."""
        path = self.folder / THUMBNAIL_NAME
        return path if path.is_file() else None

    @property
    def channels(self) -> list[str]:
        """Name and modality of each input."""
        return [f"{channel.name} ({channel.modality})" for channel in self.card.inputs] if self.card else [_("Volume")]

    @property
    def can_mirror(self) -> bool:
        """Whether the mirror image can be segmented as well; the card tells, once it can be read."""
        return self.card is None or self.card.mirroring is not None

    def matches(self, search: str) -> bool:
        """Whether every word of a search is somewhere in what is said about the model."""
        said = f"{self.id} {self.title} {self.text}".lower()
        return all(word in said for word in search.lower().split())


def model_choices() -> list[ModelChoice]:
    """Every model that is installed, by id."""
    if importlib.util.find_spec("jsonschema") is None:
        cards = {card.parent.name: card for folder in model_folders() for card in sorted(folder.glob(f"[!.]*/{CARD_NAME}"))}
        return [_unchecked(card) for _name, card in sorted(cards.items())]
    return [
        ModelChoice(entry.id, entry.card.title, describe(entry.card.raw), entry.folder, entry.card)
        if entry.card
        else ModelChoice(entry.id, entry.id, str(entry.problem), entry.folder, None, usable=False)
        for entry in list_models()
    ]


def describe(document: dict[str, Any]) -> str:
    """What a model is for, in short paragraphs: what the card says, nothing added."""
    labels = ", ".join(label["name"] for label in document["labels"])
    modalities = ", ".join(f"{channel['name']} ({channel['modality']})" for channel in document["inputs"])
    return "\n".join(
        [
            document["description"],
            _("Input: {inputs}. Segments: {labels}.").format(inputs=modalities, labels=labels),
            _("Intended use: {use}").format(use=document["intended_use"]),
            _("License of the weights: {license}.").format(license=document["weights"]["license"]),
        ]
    )


def _unchecked(card: Path) -> ModelChoice:
    """Until `jsonschema` is there to check a card, it is only quoted."""
    try:
        document = json.loads(card.read_text(encoding="utf-8"))
        return ModelChoice(card.parent.name, document["title"], describe(document), card.parent, None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = _("The model card {path} cannot be read ({error}).").format(path=card, error=error)
        return ModelChoice(card.parent.name, card.parent.name, text, card.parent, None, usable=False)
