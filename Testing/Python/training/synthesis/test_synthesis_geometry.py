"""Label maps turned and bent: nothing moves without a deformation, and everything by as much as was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.training.synthesis.geometry import Warp, draw_warp, interpolation_matrix, smooth_rows, warped_rows
from drawing import LEFT, make_map, make_synthesis, middle_of


def warped(values: np.ndarray, warp: Warp, size: tuple[int, int, int] | None = None) -> np.ndarray:
    return np.stack(list(warped_rows(values, warp, size or values.shape)))


def drawn(values: np.ndarray, seed: int = 0, spacing: tuple[float, float, float] = (1, 1, 1), **changes) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return warped(values, draw_warp(make_synthesis(**changes), middle_of(values), values.shape, spacing, rng))


def center(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(0)


class TestWarp:
    def test_without_a_deformation_the_map_is_itself(self):
        np.testing.assert_array_equal(drawn(make_map()), make_map())

    def test_beyond_the_map_lies_what_its_margin_holds(self):
        values = make_map()
        still = draw_warp(make_synthesis(), middle_of(values), (64, 60, 56), (1, 1, 1), np.random.default_rng(0))
        large = warped(values, still, (64, 60, 56))
        np.testing.assert_array_equal(large[16:48, 15:45, 14:42], values)
        assert (large > 0).sum() == (values > 0).sum()

    def test_a_shift_is_as_far_as_the_matrix_says(self):
        values = make_map()
        warp = draw_warp(make_synthesis(), middle_of(values) + np.array([2, 0, -1]), values.shape, (1, 1, 1), np.random.default_rng(0))
        np.testing.assert_array_equal(warped(values, warp), np.roll(values, (-2, 0, 1), (0, 1, 2)))

    def test_scaling_changes_volumes_within_its_range(self):
        counts = [(drawn(make_map(), seed, scaling=(0.8, 1.25)) == LEFT).sum() for seed in range(8)]
        whole = (make_map() == LEFT).sum()
        assert 0.4 * whole < min(counts) < 0.95 * whole
        assert 1.05 * whole < max(counts) < 2.2 * whole

    def test_turns_are_those_of_the_body_whatever_the_voxels(self):
        # Twice as thick along the last axis: the same body has half the voxels there, and turns alike in mm.
        thin, thick = make_map((32, 32, 64)), make_map((32, 32, 64))[:, :, ::2]
        one = center(drawn(thin, rotation_degrees=20.0) == LEFT)
        other = center(drawn(thick, spacing=(1, 1, 2), rotation_degrees=20.0) == LEFT)
        np.testing.assert_allclose(one[:2], other[:2], atol=1.0)
        assert np.linalg.norm(one - center(thin == LEFT)) > 1

    def test_elastic_shifts_move_parts_by_a_few_millimeters(self):
        values = make_map((48, 48, 48))
        moved = [np.linalg.norm(center(drawn(values, seed, elastic_mm=3.0) == LEFT) - center(values == LEFT)) for seed in range(6)]
        assert 0.3 < max(moved) < 6


class TestSmoothField:
    def test_a_field_goes_through_its_control_points_and_is_linear_between(self):
        control = np.random.default_rng(0).normal(size=(1, 3, 2, 4)).astype(np.float32)
        field = np.stack(list(smooth_rows(control, (5, 3, 7))), 1)
        np.testing.assert_allclose(field[:, ::2, ::2, ::2], control, rtol=1e-5)
        np.testing.assert_allclose(field[:, 1], (field[:, 0] + field[:, 2]) / 2, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("points", [1, 2, 5])
    def test_weights_sum_to_one_within_and_beyond_the_ends(self, points):
        weights = interpolation_matrix(np.array([-3.0, 0.0, 0.4, points - 1.0, points + 2.0]), points)
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
        assert (weights >= 0).all()
