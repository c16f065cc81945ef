"""Model folders with a tiny network, made for a test."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from AttentionSegLib.models import save_model
from AttentionSegLib.networks import AttentionUNet, build_network
from builders import make_card_document

ARGUMENTS = {"spatial_dims": 3, "channels": [4, 6, 8], "norm": "batch"}
CARD, WEIGHTS = "model.json", "weights.safetensors"


def make_network(seed: int = 0) -> AttentionUNet:
    """A tiny network for one input and two labels, with weights and statistics unlike those that it starts from."""
    torch.manual_seed(seed)
    network = build_network("attention-unet", 1, 3, ARGUMENTS).train()
    network(torch.randn(2, 1, 16, 16, 16))
    return network.eval()


def make_document(**changes: Any) -> dict[str, Any]:
    return make_card_document(network={"name": "attention-unet", "arguments": ARGUMENTS}, **changes)


def make_folder(folder: Path, seed: int = 0, **changes: Any) -> Path:
    save_model(folder, make_document(**changes), make_network(seed))
    return folder


def edit_card(folder: Path, **changes: Any) -> None:
    """Replace top-level entries of the card of a model folder."""
    document = json.loads((folder / CARD).read_text(encoding="utf-8"))
    (folder / CARD).write_text(json.dumps({**document, **changes}), encoding="utf-8")


def replace_weights(folder: Path, content: bytes) -> None:
    """Put other bytes in the place of the weights, with a card that says their check sum and size."""
    (folder / WEIGHTS).write_bytes(content)
    weights = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "license": "CC-BY-SA-4.0"}
    edit_card(folder, weights=weights)
