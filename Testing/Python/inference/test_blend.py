"""Patches put together again, beside MONAI's sliding window."""

from __future__ import annotations

import itertools

import pytest
import torch
from AttentionSegLib.inference.blend import Blend, gaussian_weights, patch_windows
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers import sliding_window_inference
from torch.nn.functional import avg_pool3d

CPU = torch.device("cpu")


class TestWindows:
    @pytest.mark.parametrize("interval", [1, 3, 4, 8, 11, 16])
    @pytest.mark.parametrize("size", [16, 17, 20, 24, 31, 32, 33, 48])
    def test_they_are_those_of_monai(self, size, interval):
        arguments = (size, 40, 12), (16, 16, 12), (interval, 9, 12)
        assert patch_windows(*arguments) == dense_patch_slices(*arguments)

    def test_every_voxel_is_covered(self):
        covered = torch.zeros(37, 20, 16)
        for window in patch_windows(covered.shape, (16, 8, 16), (12, 8, 4)):
            covered[window] += 1
        assert covered.min() >= 1


@pytest.mark.parametrize("patch", [(16, 16, 16), (96, 1, 40), (7, 12, 5)])
def test_weights_are_those_of_monai(patch):
    assert torch.equal(gaussian_weights(patch, CPU), compute_importance_map(patch, mode="gaussian"))


@pytest.mark.parametrize("batch", [1, 3])
def test_means_are_those_of_monai_to_the_last_bit(batch):
    volume = torch.rand((2, 40, 36, 28), generator=torch.Generator().manual_seed(1))
    patch, interval = (16, 16, 12), (8, 12, 8)

    def outputs(x):
        coarse = {stride: avg_pool3d(x[:, :1] ** 2, stride) for stride in ((2, 2, 1), (4, 4, 2), (8, 8, 4))}
        return torch.cat([x, x.square(), x.sin()], 1), x[:, :1] + 1, *coarse.values()

    overlap = [1 - (step + 0.5) / size for step, size in zip(interval, patch)]
    expected = sliding_window_inference(volume[None], patch, batch, outputs, overlap=overlap, mode="gaussian")
    windows = patch_windows(volume.shape[1:], patch, interval)
    blend = Blend(volume.shape[1:], windows, CPU, CPU)
    for first in range(0, len(windows), batch):
        group = windows[first : first + batch]
        for name, values in zip(itertools.count(), outputs(torch.stack([volume[(slice(None), *window)] for window in group]))):
            blend.add(name, values, group)
    assert len(windows) > batch
    for found, wanted in zip(blend.means().values(), expected):
        assert torch.equal(found, wanted[0])
