"""A network whose backbone loses the channels that nobody reads computes what it did before."""

from __future__ import annotations

import pytest
import torch
from AttentionSegLib.networks import build_network
from AttentionSegLib.networks.guided_attention import GuidedAttention
from narrower_backbone import STAGES, narrowed

ARGUMENTS = {"spatial_dims": 2, "backbone": 18, "stem_stride": 2, "width": 8, "steps": 1, "norm": "instance"}


def network_of(width: float) -> GuidedAttention:
    torch.manual_seed(3)
    return build_network("guided-attention", 1, 3, {**ARGUMENTS, "backbone_width": width}).eval()


@pytest.fixture
def wide() -> GuidedAttention:
    """Of the channels of each group only every second is read."""
    network = network_of(1 / 16)
    for stage, pyramid in zip(STAGES, network.pyramid):
        for block in network.backbone.get_submodule(stage):
            for reader in (block.conv1, block.conv2, *(block.downsample or [])[:1]):
                reader.weight.data[:, ::2] = 0
        pyramid[0].weight.data[:, ::2] = 0
    return network


def test_the_channels_that_are_read_stay(wide):
    x = torch.randn(2, 1, 64, 48)
    narrow = network_of(1 / 32)
    with torch.no_grad():
        assert not torch.allclose(narrow(x), wide(x), atol=1e-3)
        narrow.load_state_dict(narrowed(wide, narrow, [x]))
        torch.testing.assert_close(narrow(x), wide(x), rtol=0, atol=1e-4)
