"""Measured figures in the card of a model of one's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..writing import check_output_folder, write_text
from .card import CARD_NAME, Card
from .catalogue import shipped_folders


def check_own(folder: Path) -> None:
    """Raise InputError unless the card in a model folder can be changed: it exists, can be written to, and does not ship with the extension."""
    place = folder.resolve()
    msg = None
    if not (folder / CARD_NAME).is_file():
        msg = f"There is no card in {folder} that could be updated; save the model into a folder first."
    elif any(shipped.resolve() in place.parents for shipped in shipped_folders()):
        msg = f"The model {place.name} ships with AttentionSeg, so its card stays as it is; copy its folder, and update the card of the copy."
    if msg:
        raise InputError(msg)
    check_output_folder(folder)


def update_card(folder: Path, weights_sha256: str, accuracy: Sequence[dict[str, Any]], maps: Sequence[dict[str, Any]] = ()) -> None:
    """Write figures into the card in a model folder, completely or not at all.

    Args:
        folder: checked by `check_own`.
        weights_sha256: of the weights that were measured.
        accuracy: entries `accuracy` of the card; they replace those of the same data and metric.
        maps: entries `maps` of the card; each replaces that of the same map.

    Raises:
        InputError: if the folder has other weights by now, or an entry breaks the schema of cards.
        OutputError: if the card cannot be written.
    """
    document = Card.load(folder / CARD_NAME).raw
    if document["weights"]["sha256"] != weights_sha256:
        msg = f"The model in {folder} was replaced while it was measured, so its card stays as it is; measure it again."
        raise InputError(msg)
    document["accuracy"] = _replaced(document["accuracy"], accuracy, ("data", "metric"))
    if maps:
        document["maps"] = _replaced(document.get("maps", ()), maps, ("map",))
    Card.from_document(document, f"the updated card of {folder.name}")
    write_text(folder / CARD_NAME, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _replaced(there: Sequence[dict[str, Any]], entries: Sequence[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    new = [[entry[key] for key in keys] for entry in entries]
    return [*(entry for entry in there if [entry[key] for key in keys] not in new), *entries]
