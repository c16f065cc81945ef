"""Patches turned, sized and bent: each voxel comes from where the deformation says, image and label from the same place, no corner from nowhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from AttentionSegLib.training.augmentation import STRENGTHS
from AttentionSegLib.training.deformation import Deformation, draw_deformation, take_patch

PATCH = (12, 10, 8)
SPACING = (1.0, 1.5, 2.0)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ramp(shape: tuple[int, int, int]) -> np.ndarray:
    """[3, *shape], at each voxel its place."""
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float32)


def without_shifts(matrix: np.ndarray) -> Deformation:
    return Deformation(matrix, torch.zeros(3, *PATCH))


def drawn(strength: str, count: int, patch=PATCH, spacing=SPACING) -> list[Deformation]:
    found = (draw_deformation(STRENGTHS[strength], patch, spacing, generator(seed)) for seed in range(count))
    return [deformation for deformation in found if deformation is not None]


class TestTakePatch:
    def test_without_deformation_it_is_a_part_of_the_scan(self):
        volume = generator().normal(size=(2, 20, 20, 20)).astype(np.float16)
        patch = take_patch(volume, (3, 4, 5), PATCH, None, "bilinear")
        assert patch.dtype == torch.float32
        np.testing.assert_array_equal(patch.numpy(), volume[:, 3:15, 4:14, 5:13].astype(np.float32))

    def test_beyond_the_scan_there_is_nothing(self):
        patch = take_patch(np.ones((1, 6, 6, 6), np.float16), (-2, 1, 4), PATCH, None, "bilinear")[0]
        assert (patch[2:8, :5, :2] == 1).all()
        assert patch.sum() == 6 * 5 * 2

    def test_or_its_mirror_image(self):
        volume = ramp((6, 30, 30))
        whole = np.concatenate([volume[:, :0:-1], volume, volume[:, -2::-1]], 1)
        plain = take_patch(volume, (-3, 4, 5), PATCH, None, "bilinear", "reflect")
        np.testing.assert_array_equal(plain.numpy(), whole[:, 2:14, 4:14, 5:13])
        turned = without_shifts(np.array([[0.9, 0.1, 0], [-0.1, 0.9, 0], [0, 0, 1]]))
        found = take_patch(volume, (-3, 4, 5), PATCH, turned, "bilinear", "reflect")
        torch.testing.assert_close(found, take_patch(whole, (2, 4, 5), PATCH, turned, "bilinear"), rtol=0, atol=1e-4)

    @pytest.mark.parametrize("seed", range(3))
    def test_every_voxel_comes_from_its_place(self, seed):
        """The places of the voxels, interpolated, are the places that the matrix gives."""
        matrix = np.eye(3) + 0.3 * generator(seed).normal(size=(3, 3))
        shifts = torch.from_numpy(generator(seed).uniform(-0.5, 0.5, (3, *PATCH))).float()
        found = take_patch(ramp((60, 60, 60)), (24, 25, 26), PATCH, Deformation(matrix, shifts), "bilinear").numpy()
        offsets = ramp(PATCH) - (np.reshape(PATCH, (3, 1, 1, 1)) - 1) / 2
        expected = np.einsum("ab,bijk->aijk", matrix, offsets) + shifts.numpy() + np.reshape([24 + 5.5, 25 + 4.5, 26 + 3.5], (3, 1, 1, 1))
        np.testing.assert_allclose(found, expected, atol=1e-3)

    def test_a_deformation_that_does_nothing_is_none(self):
        volume = generator().normal(size=(1, 20, 20, 20)).astype(np.float32)
        plain = take_patch(volume, (3, 4, 5), PATCH, None, "bilinear")
        torch.testing.assert_close(take_patch(volume, (3, 4, 5), PATCH, without_shifts(np.eye(3)), "bilinear"), plain, rtol=0, atol=1e-4)

    def test_no_corner_is_empty_where_the_scan_goes_on(self):
        volume = np.ones((1, 48, 48, 48), np.float16)
        for deformation in drawn("default", 40):
            patch = take_patch(volume, (18, 19, 20), PATCH, deformation, "bilinear")
            assert patch.min() > 0.999

    def test_labels_stay_labels_beside_their_intensities(self):
        labels = np.zeros((1, 30, 30, 30), np.uint8)
        labels[0, 8:20, 10:22, 9:17] = 7
        for deformation in drawn("strong", 5):
            image, label = (take_patch(values, (9, 10, 11), PATCH, deformation, mode) for values, mode in ((labels, "bilinear"), (labels, "nearest")))
            assert set(label.unique().tolist()) <= {0, 7}
            assert ((image > 3.5) == (label == 7)).float().mean() > 0.99


class TestDraw:
    def test_bodies_are_turned_and_sized_but_not_sheared(self):
        """In mm, it is a rotation times a factor."""
        factors = []
        for deformation in drawn("default", 100):
            in_mm = np.diag(SPACING) @ deformation.matrix @ np.linalg.inv(np.diag(SPACING))
            sizes = np.linalg.svd(in_mm, compute_uv=False)
            assert np.ptp(sizes) < 1e-6
            assert np.linalg.det(in_mm) > 0
            factors.append(sizes[0])
        assert 0.7 <= min(factors) < 0.8
        assert 1.3 < max(factors) <= 1.4

    def test_how_often(self):
        share = len(drawn("default", 1000)) / 1000
        assert share == pytest.approx(1 - 0.8 * 0.8 * 0.9, abs=0.05)
        assert len(drawn("strong", 20)) == 20

    def test_elastic_shifts_are_smooth_and_do_not_fold(self):
        largest = 0
        for deformation in drawn("strong", 60, patch=(40, 40, 40), spacing=(1, 1, 1)):
            steps = [deformation.shifts.diff(dim=axis).abs().max().item() for axis in (1, 2, 3)]
            assert max(steps) < 0.25
            largest = max(largest, deformation.shifts.abs().max().item())
        assert 0.5 < largest <= 1.0

    @pytest.mark.parametrize(("patch", "axis"), [((1, 40, 40), 0), ((40, 12, 40), 1), ((40, 40, 8), 2)], ids=str)
    def test_slices_stay_slices_where_they_are_few(self, patch, axis):
        turned = False
        for deformation in drawn("strong", 20, patch=patch):
            assert deformation.shifts.shape == (3, *patch)
            assert (deformation.shifts[axis] == 0).all()
            np.testing.assert_allclose(deformation.matrix[axis], np.eye(3)[axis], atol=1e-12)
            np.testing.assert_allclose(deformation.matrix[:, axis], np.eye(3)[axis], atol=1e-12)
            others = [other for other in range(3) if other != axis]
            turned |= abs(deformation.matrix[others[0], others[1]]) > 0.1
        assert turned

    def test_the_same_dice_give_the_same(self):
        first, again, other = (draw_deformation(STRENGTHS["strong"], PATCH, SPACING, generator(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.matrix, again.matrix)
        assert torch.equal(first.shifts, again.shifts)
        assert not np.array_equal(first.matrix, other.matrix)
