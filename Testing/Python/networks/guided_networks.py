"""Small guided-attention networks, their paper written out step by step, and images for both."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from AttentionSegLib.networks import GuidedAttention
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

SMALL = {"width": 8, "backbone": 10, "backbone_width": 0.125}


def make_network(spatial_dims: int = 2, inputs: int = 1, classes: int = 3, **arguments: Any) -> GuidedAttention:
    """In float64, with parameters that let every term count: gamma would start at 0, norms at the identity."""
    torch.manual_seed(0)
    network = GuidedAttention(spatial_dims, inputs, classes, **{**SMALL, **arguments}).double().eval()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.InstanceNorm3d)):
            nn.init.uniform_(module.weight, 0.8, 1.6)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    for name, parameter in network.named_parameters():
        if name.endswith("gamma"):
            nn.init.constant_(parameter, 0.7)
    return network


def make_input(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def enlarge(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear" if x.ndim == 4 else "trilinear", align_corners=False)


def crop(x: Tensor, size: tuple[int, ...]) -> Tensor:
    return x[(..., *(slice(n) for n in size))]


def equations(network: GuidedAttention, x: Tensor) -> dict[str, Any]:
    """Everything that the paper names, from the network's own layers. x [B, inputs, *S]"""
    size, stride = x.shape[2:], network.stem_stride
    padded = F.pad(x, [amount for n in reversed(size) for amount in (0, -n % (4 * stride))])
    stages = network.backbone(padded)
    grid = stages[0].shape[2:]
    local = [crop(enlarge(layers(stage), 2**s), grid) for s, (layers, stage) in enumerate(zip(network.pyramid, stages))]
    fused = network.fuse(torch.cat(local, 1))

    found: dict[str, Any] = {"rows": {}, "attention": {}, "latents": [], "inputs": [], "reconstructions": []}
    attended: list[Tensor] = []
    for m, step in enumerate(network.steps, start=1):
        entering = [torch.cat([f, fused if m == 1 else attended[s] * fused], 1) for s, f in enumerate(local)]
        attended, codes = [], []
        for s, (block, x_s) in enumerate(zip(step.blocks, entering), start=1):
            latent = step.semantic.encoder(x_s)
            decoded = step.semantic.decoder(latent)
            framed = block.position_in(x_s)
            pam, features = block.position_attention(framed)
            pam = block.position_out(pam)
            cam = block.channel_out(block.channel_attention(block.channel_in(x_s)))
            attended.append(block.project((pam + cam) * block.guide(decoded)))
            q, k = (layer(framed).flatten(2) for layer in (block.position_attention.query, block.position_attention.key))
            rows = torch.softmax(q.transpose(1, 2) @ k, -1)
            assert features.size == tuple(grid)
            found["rows"][f"position_scale{s}_step{m}"] = rows
            maps = {"position": rows.mean(1).reshape(-1, 1, *grid) * prod(grid), "guided": attended[-1].abs().mean(1, keepdim=True)}
            found["attention"].update({f"{kind}_scale{s}_step{m}": crop(v, [-(-n // stride) for n in size]) for kind, v in maps.items()})
            codes.append(latent)
            found["inputs"].append(x_s)
            found["reconstructions"].append(decoded)
        found["latents"].append(codes)
    found["first"] = [crop(enlarge(head(f), stride), size) for head, f in zip(network.first_heads, local)]
    found["refined"] = [crop(enlarge(head(a), stride), size) for head, a in zip(network.heads, attended)]
    return found


def assert_same(computed: Tensor, expected: Tensor) -> None:
    """Equal up to a share of the largest expected value."""
    assert_close(computed, expected, rtol=0, atol=1e-9 * expected.abs().max().item())
