"""Whole scans drawn from label maps: on the grid of the map, with what is learned as their label map."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.datasets.cases import Case, read_labelled
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from AttentionSegLib.training.synthesis.scans import read_or_draw, write_drawn
from drawing import BODY, BODY_VALUE, make_map, make_synthesis, write_map
from tiny_training import written_case

OBLIQUE = np.array([[0.0, -0.9, 0.0, 5.0], [1.1, 0.0, 0.0, -3.0], [0.0, 0.0, 1.5, 7.0], [0.0, 0.0, 0.0, 1.0]])


@pytest.fixture
def case(tmp_path) -> Case:
    return Case("head", (), write_map(tmp_path / "head.nii.gz", make_map(), OBLIQUE))


def test_a_drawn_scan_lies_where_its_map_lies(case):
    image, label, _ = read_or_draw(case, make_synthesis(noise=0.1), 0)
    assert image.shape == label.shape == make_map().shape
    np.testing.assert_allclose(image.affine, OBLIQUE)
    np.testing.assert_array_equal(label.voxels[0], np.where(make_map() == BODY, 0, make_map()))


def test_values_without_a_meaning_stay_for_whoever_checks_them(case):
    _, label, _ = read_or_draw(case, make_synthesis(learned_as={}), 0)
    assert BODY_VALUE in label.voxels


def test_the_body_is_drawn_though_it_is_not_learned(case):
    image, _, _ = read_or_draw(case, make_synthesis(), 1)
    inner = (slice(14, 18), slice(10, 18), slice(10, 16))
    assert image.voxels[0][inner].mean() - image.voxels[0, :2].mean() > 0.05


def test_scans_are_drawn_once_and_alike(case, tmp_path):
    first = write_drawn([case], make_synthesis(noise=0.1), 4, tmp_path / "drawn")["head"]
    image, label, _ = read_labelled(first)
    np.testing.assert_array_equal(label.voxels[0], np.where(make_map() == BODY, 0, make_map()))
    written = first.images[0].stat().st_mtime_ns
    assert write_drawn([case], make_synthesis(noise=0.1), 4, tmp_path / "drawn")["head"].images[0].stat().st_mtime_ns == written
    other = write_drawn([case], make_synthesis(noise=0.1), 5, tmp_path / "drawn")["head"]
    assert not np.array_equal(read_image(other.images[0]).voxels, image.voxels)


def test_a_scan_that_there_is_is_read(tmp_path):
    real = written_case(tmp_path, np.random.default_rng(0).normal(size=make_map().shape).astype(np.float32), make_map())
    image, _, _ = read_or_draw(real, make_synthesis(), 0)
    np.testing.assert_array_equal(image.voxels, read_labelled(real)[0].voxels)
    assert write_drawn([real], make_synthesis(), 0, tmp_path / "drawn") == {}


def test_a_scan_in_place_of_a_label_map_is_named(tmp_path):
    noise = written_case(tmp_path, np.random.default_rng(0).integers(0, 1000, (9, 9, 9)).astype(np.int16), np.ones((9, 9, 9), np.uint8))
    with pytest.raises(InputError, match="too many for a label map"):
        read_or_draw(Case("scan", (), noise.images[0]), make_synthesis(), 0)
