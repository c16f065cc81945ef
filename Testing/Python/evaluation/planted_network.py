"""A network of which it is known what depends on its maps: one gate and one position attention are heeded, one of each is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from AttentionSegLib.models import Model
from AttentionSegLib.networks.contract import Network, RegionLoss, Variant
from AttentionSegLib.networks.output import NetworkOutput, ReturnAttention, wanted_maps
from AttentionSegLib.networks.position_attention import PositionFeatures
from tiny_models import make_card
from torch import Tensor, nn
from torch.nn import functional as F

NAME = "planted"
HEEDED, IGNORED = ("gate_1", "position_scale1_step1"), ("gate_2", "position_scale2_step1")
IGNORED_VOXELS = 2**3
SIZE = (16, 16, 16)


class PlantedNetwork(Network):
    """Label 1 is where the gated intensity is above 30, and only while the darkest place of the scan is seen by position attention.

    The ignored gate has the same coefficients, and the ignored position attention looks at another dark place. Before any training the gates are the
    same everywhere, and all positions look at all alike.
    """

    total_stride = (2, 2, 2)
    attention_strides = {name: (1,) * 3 if name.startswith("gate") else (2,) * 3 for name in HEEDED + IGNORED}  # noqa: RUF012

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.heeded, self.ignored = nn.Sigmoid(), nn.Sigmoid()
        self.learned = nn.Parameter(torch.zeros(()))

    @property
    def gates(self) -> dict[str, list[nn.Module]]:
        return {"gate_1": [self.heeded], "gate_2": [self.ignored]}

    @staticmethod
    def variants(device: str) -> list[Variant]:
        return []

    @staticmethod
    def loss_terms(output: NetworkOutput, region: RegionLoss) -> dict[str, Tensor]:
        return {}

    def forward(self, x: Tensor, return_attention: ReturnAttention = False) -> Tensor | NetworkOutput:
        wanted = wanted_maps(return_attention, self.attention_strides)
        bright = self.learned * (x - 50) / 5
        maps = {"gate_1": self.heeded(bright), "gate_2": self.ignored(bright)}
        coarse = F.avg_pool3d(x, 2)
        places = coarse.flatten(2).transpose(1, 2)
        queries = self.learned * torch.ones_like(places)
        keys = {HEEDED[1]: -places / 10, IGNORED[1]: -(places + 50).abs()}
        positions = {name: PositionFeatures(queries, each, tuple(coarse.shape[2:])) for name, each in keys.items()}
        maps.update({name: features.received() for name, features in positions.items()})
        seen = (torch.softmax(queries @ keys[HEEDED[1]].transpose(1, 2), -1) @ -places).transpose(1, 2).view_as(coarse)
        label = (x * maps["gate_1"] - 30) / 10 + (F.interpolate(seen, x.shape[2:]) - 200) / 10
        logits = torch.cat([torch.zeros_like(label), label], 1)
        if return_attention is False:
            return logits
        return NetworkOutput(
            logits, {name: maps[name] for name in wanted}, positions={name: value for name, value in positions.items() if name in wanted}
        )


def planted_model(**changes: Any) -> Model:
    """NAME has to be in NETWORKS."""
    network = PlantedNetwork(3, 1, 2)
    network.learned.data.fill_(1)
    labels = make_card().raw["labels"][:1]
    card = make_card(network={"name": NAME, "arguments": {"spatial_dims": 3}}, labels=labels, **changes)
    return Model(card, network.eval(), Path())


def write_planted_case(folder: Path) -> tuple[Path, Path]:
    """A scan with a bright box, which is the label, the darkest place, and one that is less dark. A corner of the label map has the value 255."""
    labels = np.zeros(SIZE, np.uint8)
    labels[2:8, 2:8, 2:8] = 1
    labels[14:, 14:, 14:] = 255
    voxels = np.where(labels == 1, 75.0, 10.0)
    voxels[10:14, 10:14, 10:14] = -200
    voxels[10:14, 2:6, 2:6] = -50
    for name, values in (("images", voxels), ("labels", labels)):
        (folder / name).mkdir(parents=True)
        write_map(Image(values[None], np.eye(4)), folder / name / "case.nrrd")
    return folder / "images", folder / "labels"
