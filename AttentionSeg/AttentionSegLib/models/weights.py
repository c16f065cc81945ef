"""Loading and saving of model folders: weights as half-precision safetensors, checked against the card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import InputError
from ..networks import build_network
from ..networks.contract import Network
from ..writing import atomic_folder
from .card import CARD_NAME, THUMBNAIL_NAME, WEIGHTS_NAME, Card, with_weights


@dataclass(frozen=True, eq=False)
class Model:
    """A card, its network with weights (float32, CPU, eval mode) and the folder they came from."""

    card: Card
    network: Network
    folder: Path


def load_model(folder: Path, advice: str = "install the model again") -> Model:
    """Read a model folder.

    Args:
        folder: with the card and the weights.
        advice: what the user can do about weights that cannot be used.

    Raises:
        InputError: if the card is not valid, the weights are missing, their SHA-256 is not the card's, their names and shapes do not fit the network
            that the card describes, or one is NaN or infinite.
    """
    folder = Path(folder)
    card = Card.load(folder / CARD_NAME)
    state = _read_weights(folder / WEIGHTS_NAME, card, advice)
    # The meta device allocates nothing: an untrusted card may describe a network of any size.
    with torch.device("meta"), _WithoutInitialWeights():
        network = build_network(card.network, card.in_channels, len(card.labels) + 1, card.network_arguments)
    expected = network.state_dict()
    check_fit(expected, state, card, advice)
    network.load_state_dict({name: value.to(expected[name].dtype, copy=True) for name, value in state.items()}, assign=True)
    return Model(card, network.eval(), folder)


def save_model(folder: Path, document: dict[str, Any], network: nn.Module, thumbnail: bytes | None = None, precise: bool = False) -> Card:
    """Write a model folder, completely or not at all.

    Args:
        folder: to write; must not exist.
        document: the card; `weights.sha256` and `weights.bytes` are filled in.
        network: its weights are stored as float16, those beyond the range of float16 as float32.
        thumbnail: PNG of what the model segments (see `reporting.silhouette`), or none.
        precise: whether to store the weights unchanged instead, which takes twice the space.

    Raises:
        InputError: if the folder exists, the card is not valid, or a weight is NaN or infinite.
        OutputError: if it cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        msg = f"There is already something at {folder}; remove it or choose another folder for the model."
        raise InputError(msg)
    content = save({name: _stored(value, name, precise) for name, value in network.state_dict().items()})
    document = with_weights(document, hashlib.sha256(content).hexdigest(), len(content))
    card = Card.from_document(document, f"the card of {folder.name}")
    with atomic_folder(folder) as temporary:
        (temporary / WEIGHTS_NAME).write_bytes(content)
        (temporary / CARD_NAME).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if thumbnail is not None:
            (temporary / THUMBNAIL_NAME).write_bytes(thumbnail)
    return card


class _WithoutInitialWeights(TorchFunctionMode):
    """Skips the initialization of layers on the meta device.

    There is no memory to initialize, and torch would load its compiler for it, which takes longer than the rest of loading a model.
    """

    def __torch_function__(self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        tensor = args[0] if args else kwargs.get("tensor")
        fills = func in (Tensor.normal_, Tensor.uniform_) or getattr(func, "__module__", None) == nn.init.__name__
        return tensor if fills and isinstance(tensor, Tensor) and tensor.is_meta else func(*args, **kwargs)


def _stored(value: Tensor, name: str, precise: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    if not value.is_floating_point():
        return value
    if not torch.isfinite(value).all():
        msg = f"The weights '{name}' of the network hold NaN or infinite numbers; train it again with a lower learning rate."
        raise InputError(msg)
    half = value.half()
    return half if torch.isfinite(half).all() and not precise else value.float()


def _read_weights(path: Path, card: Card, advice: str) -> dict[str, Tensor]:
    if path.exists() and not path.is_file():
        msg = f"The weights {path} are not a file but a folder, a device or a pipe; {advice}."
        raise InputError(msg)
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"The weights {path} cannot be read ({error.strerror}); {advice}."
        raise InputError(msg) from error
    if hashlib.sha256(content).hexdigest() != card.weights_sha256:
        sizes = f"{len(content)} of {card.weights_bytes} bytes"
        msg = f"The weights {path} are not those of the card (their SHA-256 differs, {sizes}); {advice}."
        raise InputError(msg)
    try:
        return load(content)
    except (SafetensorError, KeyError) as error:
        msg = f"The weights of {card.id} are not a safetensors file ({error}); {advice}."
        raise InputError(msg) from error


def check_fit(expected: dict[str, Tensor], found: dict[str, Tensor], card: Card, advice: str) -> None:
    """Raise InputError, naming one of each kind, if tensors are missing, unknown, of another shape or not finite."""
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    differing = [name for name in expected if name in found and expected[name].shape != found[name].shape]
    if missing or extra or differing:
        parts = [
            f"{len(names)} {what} ({names[0]})"
            for names, what in ((missing, "missing"), (extra, "unknown"), (differing, "of another shape"))
            if names
        ]
        msg = f"The weights of {card.id} do not fit its network '{card.network}': {', '.join(parts)} tensors; {advice}."
        raise InputError(msg)
    broken = next((name for name, value in found.items() if value.is_floating_point() and not torch.isfinite(value).all()), None)
    if broken is not None:
        msg = f"The weights of {card.id} hold NaN or infinite numbers ({broken}); {advice}."
        raise InputError(msg)
