"""Models small enough for a test: those whose answer is a formula, and those with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from AttentionSegLib.models import Card, Model, save_model
from AttentionSegLib.networks import NetworkOutput, build_network
from builders import make_card_document
from torch import Tensor, nn
from torch.nn import functional as F

# Intensities reach the network as they are.
AS_IT_IS = {"kind": "window", "window": [-1000, 1000], "mean": 0, "std": 1}
UNET = {"name": "attention-unet", "arguments": {"spatial_dims": 3, "channels": [2, 4, 4, 8], "norm": "instance"}}
_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_POOLING = {4: F.avg_pool2d, 5: F.avg_pool3d}


class IntensityNetwork(nn.Module):
    """Label 0 below an intensity of 50, 1 up to 100, 2 above. Its attention maps are block means of the first channel."""

    attention_strides: ClassVar = {"gate_3": (4, 4, 4), "gate_2": (2, 2, 2)}
    total_stride = (4, 4, 4)
    maps_scaled_per_volume: ClassVar = frozenset()

    def forward(self, x: Tensor, return_attention: bool | list[str] = False) -> Tensor | NetworkOutput:
        first = x[:, :1]
        logits = torch.cat([first * 0, first - 50, 2 * first - 150], 1) / 20
        if return_attention is False:
            return logits
        return NetworkOutput(logits, {name: _POOLING[x.ndim](first, stride) for name, stride in self.attention_strides.items()})


class SliceIntensityNetwork(IntensityNetwork):
    """The same for slices."""

    attention_strides: ClassVar = {"gate_3": (4, 4), "gate_2": (2, 2)}
    total_stride = (4, 4)


def make_card(normalization: dict[str, Any] = AS_IT_IS, **changes: Any) -> Card:
    """A card of one MR input that works at 1 mm in patches of 16 voxels; `changes` replace top-level entries."""
    inputs = [{"name": "T1", "modality": "MR", "normalization": normalization}]
    return Card.from_document(make_card_document(**{"inputs": inputs, "patch_size": [16, 16, 16], **changes}))


def intensity_model(**changes: Any) -> Model:
    return Model(make_card(**changes), IntensityNetwork().eval(), Path())


def save_unet(folder: Path, **changes: Any) -> Path:
    """Write the folder of an Attention U-Net with random weights and the maps gate_2 and gate_3."""
    torch.manual_seed(5)
    document = make_card_document(**{"network": UNET, "patch_size": [16, 16, 16], "overlap": 0.25, **changes})
    save_model(folder, document, build_network("attention-unet", len(document["inputs"]), len(document["labels"]) + 1, UNET["arguments"]))
    return folder


def guided(spatial_dims: int = 3, stem_stride: int = 2, **arguments: Any) -> dict[str, Any]:
    """A small guided-attention network as a card names it; without another stride, a patch is a multiple of 16 voxels."""
    sizes = {"backbone": 10, "backbone_width": 0.125, "width": 8}
    return {"name": "guided-attention", "arguments": {"spatial_dims": spatial_dims, "stem_stride": stem_stride, **sizes, **arguments}}


def random_network(network: dict[str, Any], inputs: int = 1, classes: int = 3, seed: int = 5) -> nn.Module:
    """The network that a card names, in eval mode.

    No parameter or running statistic is at a value that hides what it does (0, 1, PReLU's 0.25), and no position attention is the same everywhere.
    """
    torch.manual_seed(seed)
    built = build_network(network["name"], inputs, classes, network["arguments"])
    with torch.no_grad():
        for name, values in built.state_dict().items():
            kind = built.get_submodule(name.rpartition(".")[0])
            if name.endswith("running_var"):
                values.uniform_(1, 4)
            elif isinstance(kind, _NORMS) and name.endswith("weight"):
                values.uniform_(0.5, 1.5)
            elif isinstance(kind, nn.PReLU):
                values.uniform_(-0.3, 0.7)
            elif name.endswith(("running_mean", "bias")):
                values.normal_(std=0.2)
            elif name.endswith("gamma"):
                values.fill_(0.5)
            elif name.endswith(("query.weight", "key.weight")):
                values.mul_(4)
    return built.eval()


def random_model(network: dict[str, Any], **changes: Any) -> Model:
    """A model with a `random_network`; `changes` as of `make_card`."""
    card = make_card(network=network, **changes)
    return Model(card, random_network(network, len(card.inputs), len(card.labels) + 1), Path())


def save_guided(folder: Path, network: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write the folder of a guided-attention model with random weights."""
    model = random_model(network or guided(), **changes)
    save_model(folder, model.card.raw, model.network)
    return folder
