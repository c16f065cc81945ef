"""Import of weights that were trained with MONAI's `AttentionUnet`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import InputError
from ..networks import build_network
from ..networks.monai_attention_unet import FIRST, MonaiAttentionUNet
from ..networks.weights_source import read_weights
from .card import Card, with_weights
from .catalogue import list_models, user_folder
from .weights import check_fit, save_model

NETWORK = "monai-attention-unet"
# Keys under which checkpoints of Lightning, MONAI and custom training loops store the weights of a network.
INSIDE = ("state_dict", "model_state_dict", "model", "network", "net")


def import_monai(weights: str | os.PathLike, card: str | os.PathLike) -> tuple[Path, list[str]]:
    """Make a model in the user's model folder from weights of MONAI's `AttentionUnet`, completely or not at all. The weights keep their precision.

    Args:
        weights: a file of `torch.save` or safetensors with the state dict, alone or in a checkpoint. No code in it is executed.
        card: a model card. It may omit `network` arguments that follow from the shapes of the weights, and all of `weights` except the license.

    Returns:
        The folder of the model, and sentences on what was assumed or left out.

    Raises:
        InputError: if a file cannot be read, the card breaks the schema or does not suit the weights, weights are missing, unknown or of another
            shape (naming them), or such a model exists already.
        OutputError: if it cannot be written.
    """
    weights, card = Path(weights), Path(card)
    if not weights.is_file():
        msg = f"There is no file {weights}; give the weights that were trained with MONAI."
        raise InputError(msg)
    document = _document(card)
    given = _arguments(document, card)
    state, notes = _state(read_weights(weights))
    try:
        found = MonaiAttentionUNet.read_arguments(state)
    except ValueError as error:
        msg = f"The weights {weights} cannot be imported: {error}."
        raise InputError(msg) from error
    sizes = {key: found.pop(key) for key in ("in_channels", "out_channels")}
    document["network"] = {"name": NETWORK, "arguments": {**found, **given}}
    draft = Card.from_document(with_weights(document, "0" * 64, 1), str(card))
    _check_sizes(draft, sizes, card)
    there = {entry.id: entry.folder for entry in list_models()}
    if draft.id in there:
        msg = f"There is already a model '{draft.id}' at {there[draft.id]}; remove that one first, or give the new one another id."
        raise InputError(msg)
    network = build_network(NETWORK, draft.in_channels, sizes["out_channels"], draft.network_arguments)
    check_fit(network.state_dict(), state, draft, f"look at the arguments of its network in {card}")
    network.load_state_dict(state)
    save_model(user_folder() / draft.id, document, network, precise=True)
    if "strides" not in given:
        assumed = f"Strides of 2 were assumed, not known from the shapes: if it was trained with others, add network.arguments.strides to {card}."
        notes.insert(0, assumed)
    return user_folder() / draft.id, notes


def _document(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        msg = f"The model card {path} cannot be read ({error}); give a card in JSON, as in the folder of any model."
        raise InputError(msg) from error


def _arguments(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The arguments of the network that a card gives. Raises InputError if its entry `network` is not that of such a network."""
    network = document.get("network", {})
    given = network.get("arguments", {}) if isinstance(network, dict) else None
    if not isinstance(given, dict):
        msg = f"The entry 'network' of {path} is no network with named arguments; leave it out, or write it as in the card of any model."
        raise InputError(msg)
    if network.get("name", NETWORK) != NETWORK:
        msg = f"{path} names the network '{network['name']}', and weights of MONAI's AttentionUnet are for '{NETWORK}'; leave the name out."
        raise InputError(msg)
    return dict(given)


def _state(content: Mapping[str, object]) -> tuple[dict[str, Tensor], list[str]]:
    """The weights of the first network in a file, by their names in MONAI, and sentences on other networks and tensors there."""
    places = {key: inner for key, inner in content.items() if isinstance(inner, Mapping)}
    chosen = next((key for key in INSIDE if key in places), None)
    tensors = _tensors(content if chosen is None else places[chosen])
    prefixes = _prefixes(tensors)
    prefix = prefixes[0] if prefixes else ""
    nested = tuple(one for one in prefixes[1:] if one.startswith(prefix))
    own = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix) and not name.startswith(nested)}
    others = [name for name in tensors if not name.startswith(prefix)]
    more = [f"{one}*" for one in prefixes[1:]] + [key for key, inner in places.items() if key != chosen and _prefixes(_tensors(inner))]
    notes = []
    if more:
        taken = f"{prefix}*" if prefix else chosen or "the tensors without prefix"
        notes.append(f"The file has several networks, and one was taken: {taken}, not {', '.join(more)}; to take another, save it alone.")
    elif others:
        notes.append(f"{len(others)} other tensor(s) of the file were left out, such as {others[0]}.")
    return own, notes


def _tensors(state: Mapping[str, object]) -> dict[str, Tensor]:
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    """What wrappers of networks add to the names of their tensors, for each network among them."""
    return [name[: -len(FIRST)] for name in tensors if name.endswith(FIRST)]


def _check_sizes(card: Card, sizes: Mapping[str, int], path: Path) -> None:
    msg = None
    if card.in_channels != sizes["in_channels"]:
        msg = f"The weights take {sizes['in_channels']} input channel(s), and {path} names {card.in_channels}; name as many inputs."
    elif len(card.labels) + 1 != sizes["out_channels"]:
        msg = (
            f"The weights give {sizes['out_channels']} class(es), and {path} names {len(card.labels)} label(s), which with the background are "
            f"{len(card.labels) + 1}; name one label less than there are classes."
        )
    if msg:
        raise InputError(msg)
