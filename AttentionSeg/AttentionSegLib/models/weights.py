"""Weights on disk: half-precision safetensors, checked against the card before they are used."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from ..errors import InputError
from ..networks import build_network
from .card import CARD_NAME, WEIGHTS_NAME, Card


@dataclass(frozen=True, eq=False)
class Model:
    """A card, its network with weights (float32, CPU, eval mode) and the folder they came from."""

    card: Card
    network: nn.Module
    folder: Path


def load_model(folder: Path) -> Model:
    """Read a model folder.

    Raises:
        InputError: if the card is not valid, the weights are missing, their SHA-256 is not the card's, or their names and shapes do not fit
            the network that the card describes.
    """
    folder = Path(folder)
    card = Card.load(folder / CARD_NAME)
    state = _read_weights(folder / WEIGHTS_NAME, card)
    network = build_network(card.network, len(card.inputs), len(card.labels) + 1, card.network_arguments)
    _check_fit(network.state_dict(), state, card)
    network.load_state_dict(state)
    return Model(card, network.eval(), folder)


def save_model(folder: Path, document: dict[str, Any], network: nn.Module) -> Card:
    """Write a model folder: all of it, or nothing.

    Args:
        folder: where to; must not exist yet.
        document: the card; `weights.sha256` and `weights.bytes` are filled in.
        network: its weights are stored as float16.

    Raises:
        InputError: if the folder exists, or the card is not valid.
        OSError: if the disk does not take it.
    """
    folder = Path(folder)
    if folder.exists():
        msg = f"There is already something at {folder}; remove it or choose another folder for the model."
        raise InputError(msg)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        state = {name: _halved(value) for name, value in network.state_dict().items()}
        save_file(state, temporary / WEIGHTS_NAME)
        content = (temporary / WEIGHTS_NAME).read_bytes()
        document = {**document, "weights": {**document["weights"], "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}}
        card = Card.from_document(document, f"the card of {folder.name}")
        (temporary / CARD_NAME).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.chmod(0o755)
        (temporary / WEIGHTS_NAME).chmod(0o644)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return card


def _halved(value: Tensor) -> Tensor:
    value = value.detach().cpu().contiguous()
    return value.half() if value.is_floating_point() else value


def _read_weights(path: Path, card: Card) -> dict[str, Tensor]:
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"The weights {path} cannot be read ({error.strerror}); install the model again."
        raise InputError(msg) from error
    if hashlib.sha256(content).hexdigest() != card.weights_sha256:
        sizes = f"{len(content)} of {card.weights_bytes} bytes"
        msg = f"The weights {path} are not those of the card (their SHA-256 differs, {sizes}); install the model again."
        raise InputError(msg)
    try:
        state = load(content)
    except SafetensorError as error:
        msg = f"The weights {path} are not a safetensors file ({error}); install the model again."
        raise InputError(msg) from error
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _check_fit(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor], card: Card) -> None:
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    differing = [name for name in expected if name in found and expected[name].shape != found[name].shape]
    if missing or extra or differing:
        parts = [
            f"{len(names)} {what} ({names[0]})"
            for names, what in ((missing, "missing"), (extra, "unknown"), (differing, "of another shape"))
            if names
        ]
        msg = f"The weights of {card.id} do not fit its network '{card.network}': {', '.join(parts)} tensors; install the model again."
        raise InputError(msg)
