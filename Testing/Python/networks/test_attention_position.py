"""Where the voxels of an attention map lie: voxel i of a map of stride s covers voxels i * s to i * s + s - 1 of the input."""

from __future__ import annotations

import pytest
import torch
from AttentionSegLib.networks import AttentionUNet
from torch import Tensor
from torch.testing import assert_close

GEOMETRIES = {
    "2d, four levels": (2, (144, 136), (2, 2, 2), [(64, 64), (72, 64)]),
    "3d": (3, (48, 44, 44), (2, 2), [(20, 20, 20), (24, 20, 20)]),
    "anisotropic": (3, (28, 44, 44), ((1, 2, 2), 2), [(14, 20, 20), (12, 20, 20)]),
}
GATES = ["grid", "full"]


def make_network(spatial_dims: int, strides: tuple, gate: str, norm: str = "batch") -> AttentionUNet:
    torch.manual_seed(0)
    channels = (2, 3, 4, 5)[: len(strides) + 1]
    return AttentionUNet(spatial_dims, 1, 2, channels=channels, strides=strides, gate=gate, norm=norm).double().eval()


def attention(network: AttentionUNet, x: Tensor) -> dict[str, Tensor]:
    with torch.inference_mode():
        return {name: alpha[0, 0] for name, alpha in network(x, return_attention=True).attention.items()}


def block_at(size: tuple[int, ...], corner: tuple[int, ...], extent: tuple[int, ...]) -> Tensor:
    """An image of zeros with one block of ones."""
    x = torch.zeros(1, 1, *size, dtype=torch.float64)
    x[(0, 0, *(slice(c, c + e) for c, e in zip(corner, extent)))] = 1
    return x


def centroid(weights: Tensor) -> Tensor:
    axes = torch.meshgrid(*(torch.arange(n, dtype=weights.dtype) for n in weights.shape), indexing="ij")
    return torch.stack([(axis * weights).sum() for axis in axes]) / weights.sum()


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(("spatial_dims", "size", "strides", "corners"), GEOMETRIES.values(), ids=GEOMETRIES)
class TestPlace:
    def test_a_map_answers_where_the_image_changes(self, spatial_dims, size, strides, corners, gate):
        """With equal weights everywhere the answer is symmetric, so its center of mass is the center of the change, to a rounding error."""
        network = make_network(spatial_dims, strides, gate)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith("weight") and parameter.ndim > 1:
                    parameter.fill_(1 / parameter[0].numel())
        background = attention(network, torch.zeros(1, 1, *size, dtype=torch.float64))
        for corner in corners:
            image = block_at(size, corner, network.total_stride)
            middle = torch.tensor([c + (e - 1) / 2 for c, e in zip(corner, network.total_stride)], dtype=torch.float64)
            for name, alpha in attention(network, image).items():
                stride = torch.tensor(network.attention_strides[name], dtype=torch.float64)
                change = (alpha - background[name]).abs()
                assert change.max() > 1e-4
                assert_close(centroid(change) * stride + (stride - 1) / 2, middle, rtol=0, atol=1e-6)

    def test_a_map_moves_with_the_image(self, spatial_dims, size, strides, corners, gate):
        network = make_network(spatial_dims, strides, gate)
        pattern = torch.rand(network.total_stride, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        first, second = corners
        maps = []
        for corner in corners:
            image = block_at(size, corner, network.total_stride)
            image[image > 0] = pattern.flatten()
            maps.append(attention(network, image))
        assert first != second
        for name, stride in network.attention_strides.items():
            shift = [(b - a) // s for a, b, s in zip(first, second, stride)]
            moved = torch.roll(maps[0][name], shift, tuple(range(spatial_dims)))
            assert not torch.allclose(maps[0][name], maps[1][name], rtol=0, atol=1e-9)
            assert_close(moved, maps[1][name], rtol=0, atol=1e-12)

    def test_a_mirrored_network_sees_a_mirrored_image_mirrored(self, spatial_dims, size, strides, corners, gate):
        network = make_network(spatial_dims, strides, gate, norm="instance")
        small = [4 * n for n in network.total_stride]
        image = torch.randn(1, 1, *small, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        with torch.inference_mode():
            expected = network(image, return_attention=True)
        for axis in range(spatial_dims):
            with torch.no_grad():
                for parameter in network.parameters():
                    if parameter.ndim > 1:
                        parameter.copy_(parameter.flip(axis + 2))
            with torch.inference_mode():
                mirrored = network(image.flip(axis + 2), return_attention=True)
            assert_close(mirrored.logits.flip(axis + 2), expected.logits, rtol=0, atol=1e-9)
            for name, alpha in expected.attention.items():
                assert_close(mirrored.attention[name].flip(axis + 2), alpha, rtol=0, atol=1e-9)
            image, expected = image.flip(axis + 2), mirrored
