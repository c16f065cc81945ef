"""Scanners: nothing is moved or brightened, and thick slices blur along one axis alone."""

from __future__ import annotations

import numpy as np
from AttentionSegLib.training.synthesis.acquisition import Axis, draw_axes
from drawing import make_synthesis

FINE, STEPS = (91, 91, 91), (3, 3, 3)
COUNT = 12


def axes(seed: int, spacing: float = 3.0, **changes) -> tuple[Axis, ...]:
    return draw_axes(make_synthesis(steps=STEPS, **changes), FINE, (spacing,) * 3, np.random.default_rng(seed))


def whole(axis: Axis) -> np.ndarray:
    """Weights [working, fine] of an axis."""
    return axis.seen if axis.shown is None else axis.shown @ axis.seen


class TestAxes:
    def test_an_even_body_stays_as_bright_as_it_is(self):
        for seed in range(COUNT):
            for axis in axes(seed, slice_share=1.0):
                np.testing.assert_allclose(whole(axis).sum(1), 1, rtol=1e-5)

    def test_everything_stays_in_its_place(self):
        ramp = np.arange(FINE[0])
        for seed in range(COUNT):
            for axis in axes(seed, slice_share=1.0, slice_mm=(1.0, 9.0)):
                shown = whole(axis) @ ramp
                # Where neither blur nor slices reach an end.
                inner = slice(8, -8)
                np.testing.assert_allclose(shown[inner], ramp[::3][inner], atol=0.3)

    def test_thick_slices_lie_along_one_axis(self):
        for seed in range(COUNT):
            counts = [axis.seen.shape[0] for axis in axes(seed, slice_share=1.0, slice_mm=(8.0, 9.0))]
            assert sorted(counts)[1:] == [31, 31]
            assert 11 <= min(counts) <= 13

    def test_without_thick_slices_the_scan_is_on_the_working_grid(self):
        assert all(axis.shown is None for seed in range(COUNT) for axis in axes(seed))

    def test_coarse_grids_are_smoothed_as_inference_smooths_for_them(self):
        # A single bright fine voxel of 1 mm gets less than half of its brightness on a grid of 3 mm.
        for seed in range(COUNT):
            assert whole(axes(seed)[0]).max() < 0.5
