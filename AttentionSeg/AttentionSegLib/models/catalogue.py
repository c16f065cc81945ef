"""The catalogue of installed models: those that ship with the extension, and the user's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..errors import InputError
from ..user_folders import data_folder
from .card import CARD_NAME, Card

PACKAGE = Path(__file__).resolve().parents[1]
EXTRA_FOLDERS = "ATTENTIONSEG_MODELS"


@dataclass(frozen=True)
class ListedModel:
    """A model folder with its card, or with a sentence why it cannot be used."""

    id: str
    folder: Path
    card: Card | None
    problem: str | None = None


def user_folder() -> Path:
    """The user's own model folder (it need not exist)."""
    return data_folder() / "Models"


def model_folders() -> list[Path]:
    """Folders that contain model folders, in search order: the variable ATTENTIONSEG_MODELS, the user's, the shipped ones."""
    extra = [Path(part) for part in os.environ.get(EXTRA_FOLDERS, "").split(os.pathsep) if part]
    in_clone = PACKAGE.parents[1] / "Resources" / "Models"
    return [*extra, user_folder(), *shipped_folders(), in_clone]


def shipped_folders() -> list[Path]:
    """Where model folders are in a wheel and in an installed extension (they need not exist)."""
    return [PACKAGE / "shipped", PACKAGE.parent / "Resources" / "Models"]


def list_models() -> list[ListedModel]:
    """All installed models, by id; of two with the same id, the first one found. Broken ones are listed with their problem.

    Hidden folders are skipped: a model that is being written is in one.
    """
    entries: dict[str, ListedModel] = {}
    for parent in model_folders():
        for card_path in sorted(parent.glob(f"[!.]*/{CARD_NAME}")):
            entry = _entry(card_path)
            entries.setdefault(entry.id, entry)
    return [entries[key] for key in sorted(entries)]


def find_model(name: str | os.PathLike) -> Path:
    """The folder of a model.

    Args:
        name: its id, the path of a model folder, or the name of an installed one.

    Raises:
        InputError: if there is none of that name (suggesting similar ones), or it cannot be used.
    """
    if (Path(name) / CARD_NAME).is_file():
        return Path(name)
    models = list_models()
    entries = {**{entry.folder.name: entry for entry in models}, **{entry.id: entry for entry in models}}
    entry = entries.get(str(name))
    if entry is None:
        near = get_close_matches(str(name), entries, n=3, cutoff=0.4)
        known = f"there are {', '.join(entry.id for entry in models)}." if models else f"put model folders into {user_folder()}."
        msg = f"There is no model '{name}'; {'did you mean ' + ' or '.join(near) + '?' if near else known}"
        raise InputError(msg)
    if entry.problem:
        raise InputError(entry.problem)
    return entry.folder


def _entry(card_path: Path) -> ListedModel:
    try:
        card = Card.load(card_path)
    except InputError as error:
        return ListedModel(card_path.parent.name, card_path.parent, None, str(error))
    return ListedModel(card.id, card_path.parent, card)
