"""Whether a map shows where a label is, on grids that are coarser than the scan and turned."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.evaluation import localization
from AttentionSegLib.evaluation.localization import LabelsOnGrid
from AttentionSegLib.image import Image
from poses import AXES, affine_around

SHAPE, COARSE = (8, 6, 4), (4, 3, 2)


def labels_of(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 3, SHAPE, dtype=np.uint8)


def coarse_of(values: np.ndarray) -> Image:
    """On voxels of twice the size that hold 2 x 2 x 2 of the scan each."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 0.5
    return Image(values[None].astype(np.float32), affine)


def by_hand(values: np.ndarray, inside: np.ndarray) -> tuple[float, float, float]:
    """Every voxel of the label against every other voxel."""
    in_label, others = values[inside], values[~inside]
    auc = ((in_label[:, None] > others).mean() + (in_label[:, None] >= others).mean()) / 2
    return auc, in_label.sum() / values.sum(), inside[values == values.max()].mean()


@pytest.mark.parametrize("at_a_time", [20, 10**6])
def test_is_that_of_every_voxel_with_the_value_of_the_coarse_voxel_that_holds_it(at_a_time, monkeypatch):
    monkeypatch.setattr(localization, "VOXELS_AT_A_TIME", at_a_time)
    rng = np.random.default_rng(3)
    labels, values = labels_of(rng), rng.integers(0, 6, COARSE)
    found = LabelsOnGrid(coarse_of(values), Image(labels[None], np.eye(4)), (1, 2)).localization(values)
    fine = values.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    np.testing.assert_allclose(found, [by_hand(fine, labels == value) for value in (1, 2)])


def test_does_not_depend_on_how_the_scan_is_stored():
    rng = np.random.default_rng(4)
    labels, values = labels_of(rng), rng.uniform(size=COARSE)
    straight = LabelsOnGrid(coarse_of(values), Image(labels[None], np.eye(4)), (1, 2)).localization(values)
    affine = np.diag([-1.0, 1.0, -1.0, 1.0])
    affine[:3, 3] = 7, 0, 3
    turned = LabelsOnGrid(coarse_of(values), Image(labels[None, ::-1, :, ::-1], affine), (1, 2)).localization(values)
    np.testing.assert_allclose(turned, straight)


def test_ignored_voxels_do_not_count_and_a_missing_label_has_no_number():
    rng = np.random.default_rng(5)
    labels, values = labels_of(rng), rng.uniform(size=COARSE)
    labels[2:4] = 9
    found = LabelsOnGrid(coarse_of(values), Image(labels[None], np.eye(4)), (1, 5), ignored=9).localization(values)
    fine, counted = values.repeat(2, 0).repeat(2, 1).repeat(2, 2), labels != 9
    np.testing.assert_allclose(found[0], by_hand(fine[counted], labels[counted] == 1))
    assert np.isnan(found[1]).all()


def test_nearness_falls_with_the_distance_in_mm():
    like = Image(np.zeros((1, 5, 3, 3)), affine_around((0, 0, 0), (5, 3, 3), AXES["RAS"], (1, 4, 1)))
    nearness = LabelsOnGrid(like, Image(np.zeros((1, 2, 2, 2), np.uint8), np.eye(4)), (1,)).nearness().reshape(like.shape)
    assert nearness[2, 1, 1] == 1
    assert nearness[1, 1, 1] > nearness[2, 0, 1]
    assert nearness.min() == nearness[0, 0, 0] == 0
