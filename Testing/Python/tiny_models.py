"""Models small enough for a test: one whose answer is a formula, and one on disk with random weights."""

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


class IntensityNetwork(nn.Module):
    """Label 0 below an intensity of 50, 1 up to 100, 2 above. Its attention maps are block means of the first channel."""

    attention_strides: ClassVar = {"gate_3": (4, 4, 4), "gate_2": (2, 2, 2)}
    total_stride = (4, 4, 4)

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | NetworkOutput:
        first = x[:, :1]
        logits = torch.cat([first * 0, first - 50, 2 * first - 150], 1) / 20
        if not return_attention:
            return logits
        return NetworkOutput(logits, {name: F.avg_pool3d(first, stride) for name, stride in self.attention_strides.items()})


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
