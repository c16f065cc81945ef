"""Drawn images: any contrast, the label in place, and every change that the settings name."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.models import Channel
from AttentionSegLib.training.preparation import IGNORED
from drawing import BODY, LEFT, RIGHT, make_generator, make_map, middle_of


def draw(seed: int = 0, values: np.ndarray | None = None, **changes) -> tuple[np.ndarray, np.ndarray]:
    values = make_map() if values is None else values
    patch = [-(-n // step) for n, step in zip(values.shape, changes.get("steps", (1, 1, 1)))]
    return make_generator(**changes).draw(values, middle_of(values), patch, np.random.default_rng(seed))


def core(value: int) -> np.ndarray:
    """Voxels of the map away from edges, which a scanner blurs."""
    return within(make_map() == value)


def within(mask: np.ndarray) -> np.ndarray:
    return mask & np.logical_and.reduce([np.roll(mask, shift, axis) for axis in range(3) for shift in (-2, 2)])


class TestContrast:
    def test_the_same_number_draws_the_same(self):
        everything = {
            "rotation_degrees": 20.0,
            "elastic_mm": 3.0,
            "noise": 0.1,
            "slice_share": 0.5,
            "cut_share": 0.5,
            "bias_field": 0.5,
            "gamma": 0.4,
        }
        for one, other in zip(draw(3, **everything), draw(3, **everything)):
            np.testing.assert_array_equal(one, other)

    def test_labels_are_brighter_or_darker_than_what_is_around(self):
        brighter = [image[core(LEFT)].mean() > image[core(BODY)].mean() for image, _ in map(draw, range(12))]
        assert 2 <= sum(brighter) <= 10

    def test_both_sides_look_alike_if_they_are_a_pair(self):
        for seed in range(4):
            image, _ = draw(seed)
            assert image[core(LEFT)].mean() == pytest.approx(image[core(RIGHT)].mean(), abs=0.02)
        apart = [abs(image[core(LEFT)].mean() - image[core(RIGHT)].mean()) for image, _ in (draw(seed, looks=(0, 1, 2, 3)) for seed in range(4))]
        assert max(apart) > 0.3

    @pytest.mark.parametrize(("share", "alike"), [(1.0, 20), (0.0, 0)])
    def test_values_of_a_tissue_look_alike_in_a_share_of_the_images(self, share, alike):
        values = make_map()
        generator = make_generator(looks=(0, 1, 2, 3), tissues={1: 5, 2: 5}, tissue_share=share, tissue_deviation=0.0)
        images = [generator.scan(values, middle_of(values), values.shape, np.random.default_rng(seed))[0] for seed in range(20)]
        near = [abs(np.median(image[values == LEFT]) - np.median(image[values == RIGHT])) < 0.01 for image in images]
        assert abs(sum(near) - alike) <= 2

    @pytest.mark.parametrize("contrast", [0.0, 0.3])
    def test_tissues_differ_by_a_least_contrast(self, contrast):
        values = make_map()
        settings = {
            "tissue_share": 1.0,
            "tissue_deviation": 0.0,
            "tissue_contrast": contrast,
            "deviation": 0.0,
            "noise": 0.0,
            "bias_field": 0.0,
            "gamma": 0.0,
        }
        generator = make_generator(looks=(0, 1, 2, 3), tissues={1: 5, 2: 6}, **settings)
        differences = []
        for seed in range(40):
            image, _ = generator.scan(values, middle_of(values), values.shape, np.random.default_rng(seed))
            # The image is stretched to 0..1, so a contrast can only become larger.
            differences.append(np.median(image[values == LEFT]) - np.median(image[values == RIGHT]))
        assert (np.abs(differences).min() > 0.25) == bool(contrast)
        assert 8 <= sum(difference > 0 for difference in differences) <= 32

    def test_images_are_normalized(self):
        image, _ = draw(noise=0.1)
        assert image.mean() == pytest.approx(0, abs=1e-3)
        assert image.std() == pytest.approx(1, abs=1e-3)

    def test_a_field_of_view_with_a_single_intensity_is_drawn_again(self):
        values = np.zeros((32, 30, 28), np.uint8)
        values[:4, 4:-4, 4:-4] = LEFT
        for seed in range(60):
            image, label = draw(seed, values, stripped_share=1.0, cut_share=1.0)
            assert np.ptp(image[label != IGNORED]) > 0

    def test_a_window_is_filled(self):
        window = Channel("CT", "CT", {"kind": "window", "window": [-100.0, 300.0], "mean": 100.0, "std": 200.0})
        image, _ = draw(channel=window)
        assert image.min() == pytest.approx(-1, abs=0.05)
        assert image.max() == pytest.approx(1, abs=0.05)

    def test_a_bias_field_changes_one_end_against_the_other(self):
        def slope(**changes) -> float:
            image, _ = draw(1, **changes)
            body = core(BODY)
            return abs(image[:, :15][body[:, :15]].mean() - image[:, 15:][body[:, 15:]].mean())

        assert slope() < 0.02 < slope(bias_field=1.0)

    def test_texture_is_in_what_is_not_learned_alone(self):
        image, _ = draw(2, texture=0.5)
        assert image[core(BODY)].std() > 5 * image[core(LEFT)].std()


class TestPlaces:
    def test_image_and_label_are_deformed_alike(self):
        for seed in range(5):
            changes = {"rotation_degrees": 25.0, "elastic_mm": 2.0, "scaling": (0.9, 1.1)}
            image, label = draw(seed, looks=(0, 1, 2, 3), **changes)
            assert not np.array_equal(label, np.where(make_map() == BODY, 0, make_map()))
            assert image[within(label == LEFT)].std() < 0.15

    def test_a_coarse_grid_reads_image_and_label_at_the_same_voxels(self):
        _, label = draw(spacing=2.0, steps=(2, 2, 2))
        np.testing.assert_array_equal(label, np.where(make_map() == BODY, 0, make_map())[::2, ::2, ::2])

    def test_what_is_learned_as_background_is_background(self):
        _, label = draw()
        assert set(np.unique(label)) == {0, LEFT, RIGHT}


class TestMissing:
    def test_stripped_images_hold_the_labels_alone(self):
        shown = []
        for seed in range(4):
            image, label = draw(seed, stripped_share=1.0, stripped_margin_mm=0.0, dark_air_share=0.0)
            around = image[label == 0]
            assert np.ptp(around) == 0
            shown.append(abs(image[core(LEFT)].mean() - around[0]))
        # The darkest tissue may be as dark.
        assert np.median(shown) > 0.5

    def test_a_margin_is_left_around_the_labels(self):
        near = np.zeros(make_map().shape, bool)
        near[14:18, 10:18, 10:14] = True
        lost = [np.ptp(draw(seed, stripped_share=1.0, stripped_margin_mm=6.0, noise=0.1)[0][near]) > 0 for seed in range(8)]
        assert 0 < sum(lost) < 8

    def test_beyond_the_field_of_view_nothing_is_seen_or_learned(self):
        cut = [draw(seed, cut_share=1.0, cut_size=0.5) for seed in range(6)]
        shares = [(label == IGNORED).mean() for _, label in cut]
        assert max(shares) > 0.1
        assert all((image[label == IGNORED] == 0).all() for image, label in cut)
        assert not any((label == IGNORED).any() for _, label in (draw(seed) for seed in range(3)))
