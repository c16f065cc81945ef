"""The numbers of two masks: those of shapes that can be counted by hand, and those of plain distance transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from AttentionSegLib.evaluation import METRICS
from AttentionSegLib.evaluation.metrics import case_metrics, label_metrics
from AttentionSegLib.image import Image
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance, compute_surface_dice
from poses import OBLIQUE, PERMUTED, affine_around
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 3.0), (4.5, 1.2, 0.4)]
NAN = float("nan")


def box(shape: tuple[int, ...], *ends: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*end) for end in ends)] = True
    return mask


def blob(seed: int, shape: tuple[int, int, int] = (24, 20, 18)) -> np.ndarray:
    """A random shape of several pieces that reaches the edges of its grid."""
    return gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2) > 0.04


def by_distance_transforms(prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float, float]:
    borders = [mask & ~binary_erosion(mask) for mask in (prediction, reference)]
    there, back = (distance_transform_edt(~borders[1 - n], sampling=spacing)[borders[n]] for n in (0, 1))
    both = np.concatenate([there, back])
    return max(np.percentile(there, 95), np.percentile(back, 95)), both.mean(), (both <= 1).mean()


class TestCubes:
    """A cube of 6 voxels and the same one 2 voxels on. Of its 152 border voxels 80 lie on the other's border, 32 one and 40 two voxels away."""

    shape = (12, 10, 10)
    cube, shifted = box(shape, (2, 8), (2, 8), (2, 8)), box(shape, (4, 10), (2, 8), (2, 8))

    def test_shifted(self):
        found = label_metrics(self.cube, self.shifted, (1, 1, 1))
        assert list(found) == [metric.key for metric in METRICS]
        assert list(found.values()) == pytest.approx([2 / 3, 2.0, 112 / 152, 112 / 152, 0.0])

    def test_distances_are_millimeters(self):
        found = label_metrics(self.cube, self.shifted, (0.5, 0.5, 0.5))
        assert list(found.values()) == pytest.approx([2 / 3, 1.0, 56 / 152, 1.0, 0.0])

    def test_along_a_long_voxel(self):

        slab, above = box((4, 9, 9), (0, 1), (1, 8), (1, 8)), box((4, 9, 9), (2, 3), (1, 8), (1, 8))
        found = label_metrics(slab, above, (5.0, 0.5, 0.5))
        assert list(found.values()) == pytest.approx([0.0, 10.0, 10.0, 0.0, 0.0])

    def test_equal(self):
        assert list(label_metrics(self.cube, self.cube, (1, 2, 3)).values()) == [1.0, 0.0, 0.0, 1.0, 0.0]

    def test_volume_error_has_a_sign(self):
        half = box(self.shape, (2, 5), (2, 8), (2, 8))
        assert label_metrics(half, self.cube, (1, 1, 1))["volume_error_percent"] == pytest.approx(-50)
        assert label_metrics(self.cube, half, (1, 1, 1))["volume_error_percent"] == pytest.approx(100)


class TestEmpty:
    empty, some = np.zeros((5, 6, 7), bool), box((5, 6, 7), (1, 3), (1, 3), (1, 3))

    @pytest.mark.parametrize(
        ("prediction", "reference", "expected"),
        [(empty, empty, [1, 0, 0, 1, 0]), (empty, some, [0, NAN, NAN, 0, -100]), (some, empty, [0, NAN, NAN, 0, NAN])],
        ids=["both", "prediction", "reference"],
    )
    def test_has_its_own_rule(self, prediction, reference, expected):
        np.testing.assert_array_equal(list(label_metrics(prediction, reference, (1, 1, 1)).values()), expected)


class TestSurfaces:
    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("seed", [0, 1])
    def test_are_those_of_distance_transforms(self, spacing, seed):
        prediction, reference = blob(seed), blob(seed + 10)
        found = label_metrics(prediction, reference, spacing)
        surfaces = [found[key] for key in ("hausdorff_95_mm", "mean_surface_distance_mm", "surface_dice_1mm")]
        assert surfaces == pytest.approx(by_distance_transforms(prediction, reference, spacing), rel=1e-5)

    @pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
    @pytest.mark.parametrize("axis", range(3))
    def test_a_slice_has_outlines_in_its_plane(self, axis):
        prediction, reference = blob(1)[:, :, 9], blob(2)[:, :, 9]
        wanted = by_distance_transforms(prediction, reference, (0.7, 2.0))
        spacing = np.insert([0.7, 2.0], axis, 5.0)
        found = label_metrics(np.expand_dims(prediction, axis), np.expand_dims(reference, axis), spacing)
        numbers = [found[key] for key in ("hausdorff_95_mm", "mean_surface_distance_mm", "surface_dice_1mm")]
        np.testing.assert_allclose(numbers, wanted, rtol=1e-4)

    def test_the_crop_changes_nothing(self):
        """Against MONAI on the whole grid, for shapes inside of it and at its edges."""
        for low in (0, 9):
            prediction, reference = np.zeros((2, 30, 28, 26), bool)
            for mask, seed in ((prediction, 3), (reference, 4)):
                mask[low : low + 16, low : low + 14, low : low + 12] = blob(seed, (16, 14, 12))
            pair = [torch.from_numpy(mask)[None, None] for mask in (prediction, reference)]
            surface = {"include_background": True, "spacing": [0.8, 1.5, 2.0]}
            whole = [
                compute_dice(*pair, include_background=True),
                compute_hausdorff_distance(*pair, percentile=95, **surface),
                compute_average_surface_distance(*pair, symmetric=True, **surface),
                compute_surface_dice(*pair, [1.0], **surface),
            ]
            found = list(label_metrics(prediction, reference, (0.8, 1.5, 2.0)).values())
            assert found[:4] == [value.item() for value in whole]


class TestCase:
    def test_has_a_row_for_each_label(self):
        prediction = np.zeros((1, 9, 9, 9), np.uint8)
        prediction[0, 1:4, 1:4, 1:4], prediction[0, 5:8, 5:8, 5:8] = 1, 2
        reference = prediction.astype(np.float32)
        reference[reference == 2] = 0
        found = case_metrics(Image(prediction, np.eye(4)), Image(reference, np.eye(4)), [1, 2, 3])
        np.testing.assert_array_equal(found, [[1, 0, 0, 1, 0], [0, NAN, NAN, 0, NAN], [1, 0, 0, 1, 0]])

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_turned_scan_has_the_same_numbers(self, axis):
        """As read from a file of single precision, where 1 mm is 1.00000003 mm: a neighbor is still within 1 mm."""
        shape = (14, 13, 12)
        labels = np.zeros((2, 1, *shape), np.uint8)
        labels[0, 0, 4:9, 4:9, 4:9] = 1
        labels[1] = np.roll(labels[0], 1, axis + 1)
        affine = affine_around((10, 20, 30), shape, OBLIQUE @ PERMUTED, (1, 1, 1)).astype(np.float32).astype(np.float64)
        affine[:3, axis] *= 1.0000001
        turned, upright = (case_metrics(*(Image(voxels, pose) for voxels in labels), [1]) for pose in (affine, np.eye(4)))
        assert turned[0, 3] == 1.0
        np.testing.assert_allclose(turned, upright, rtol=1e-6)

    def test_spacing_belongs_to_the_axes_of_the_file(self):
        shape, spacing = (14, 13, 12), (0.6, 1.0, 2.5)
        labels = np.zeros((2, 1, *shape), np.uint8)
        labels[0, 0, 4:9, 4:9, 4:9] = 1
        labels[1] = np.roll(labels[0], 2, 3)
        affine = affine_around((10, 20, 30), shape, OBLIQUE @ PERMUTED, spacing)
        found = case_metrics(*(Image(voxels, affine) for voxels in labels), [1])
        assert found[0, 1:4] == pytest.approx(by_distance_transforms(*(labels[:, 0] > 0), spacing), rel=1e-5)
        assert found[0, 1] > 2.4
