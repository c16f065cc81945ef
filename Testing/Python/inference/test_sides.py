"""Mistaken sides are corrected across the plane between the sides, however the body is turned, and nothing is changed where there is none."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from AttentionSegLib.inference.sides import NO_PLANE, separate_sides

# Left before right. 5 lies on the midline, and 6 has no side.
PAIRS = [(1, 2), (3, 4)]
SPACING = np.array([3.0, 3.0, 4.0])


def body() -> np.ndarray:
    """A ball of 1 and 2 that meet at voxel 20 along the first axis, with 3 and 4 inside, 5 across the middle, and 6 beside it."""
    i, j, k = np.indices((40, 36, 28))
    distance = np.sqrt(((i - 19.5) * 3) ** 2 + ((j - 18) * 3) ** 2 + ((k - 14) * 4) ** 2)
    labels = np.where(distance < 48, np.where(i < 20, 1, 2), 0)
    labels[(distance < 36) & (abs(j - 18) < 6) & (abs(i - 19.5) > 4)] += 2
    labels[18:22, 16:20, 10:18] = 5
    labels[:4, :4, :4] = 6
    return labels.astype(np.uint8)


def mixed(labels: np.ndarray, parts: int = 8) -> np.ndarray:
    """With the other side's label in some blocks, each 15 mm or more from the middle."""
    result, swapped = labels.copy(), np.array([0, 2, 1, 4, 3, 5, 6], np.uint8)
    for place in ([6, 15, 10], [30, 15, 12], [10, 22, 14], [27, 24, 8], [12, 8, 16], [28, 10, 17], [9, 18, 18], [31, 20, 20])[:parts]:
        window = tuple(slice(start, start + 4) for start in place)
        result[window] = swapped[result[window]]
    return result


def affine(axis: int = 0, degrees: float = 0) -> np.ndarray:
    one, other = (index for index in range(3) if index != axis)
    turned = np.eye(4)
    turned[one, one] = turned[other, other] = np.cos(np.radians(degrees))
    turned[other, one] = np.sin(np.radians(degrees))
    turned[one, other] = -turned[other, one]
    return turned @ np.diag([*SPACING, 1]) + np.pad([[30.0], [-200], [7]], ((0, 1), (3, 0)))


def separated(labels: np.ndarray, matrix: np.ndarray | None = None, order: str = "F") -> tuple[np.ndarray, str]:
    result = np.array(labels, order=order)
    return result, separate_sides(result, affine() if matrix is None else matrix, PAIRS)


@pytest.mark.parametrize(("axis", "degrees"), [*product(range(3), (-40, 40)), (0, 0)])
def test_mixed_sides_are_put_right_in_a_turned_body(axis, degrees):
    found, note = separated(mixed(body()), affine(axis, degrees))
    assert (mixed(body()) != body()).sum() > 300
    np.testing.assert_array_equal(found, body())
    assert note == ""


@pytest.mark.parametrize(("order", "axes"), [("C", (0, 1, 2)), ("C", (2, 0, 1)), ("F", (1, 2, 0))])
def test_in_every_storage(order, axes):
    matrix = affine(2, 20)
    matrix[:3, :3] = matrix[:3, axes]
    found, _ = separated(mixed(body()).transpose(axes).astype(np.uint16), matrix, order)
    np.testing.assert_array_equal(found, body().transpose(axes))


@pytest.mark.parametrize("missing", [1, 4])
def test_one_structure_of_a_pair_is_missing(missing):
    expected = body()
    expected[expected == missing] = 0
    np.testing.assert_array_equal(separated(mixed(expected, 2 if missing == 1 else 8))[0], expected)


def test_a_body_cut_through_at_a_slant():
    expected = body()
    i, j, k = np.indices(expected.shape)
    expected[i + j + k < 48] = 0
    np.testing.assert_array_equal(separated(mixed(expected))[0], expected)


def test_a_structure_that_is_taken_for_its_partner():
    labels = body()
    labels[labels == 4] = 3
    np.testing.assert_array_equal(separated(labels)[0], body())


def test_stray_parts_go_and_do_not_move_the_plane():
    expected = np.pad(body(), ((20, 0), (0, 0), (0, 0)))
    labels = np.pad(mixed(body()), ((20, 0), (0, 0), (0, 0)))
    # Far to the left, where they touch no left label.
    labels[:16, 1:30:2, 1:22:2] = 2
    expected[:16, 1:30:2, 1:22:2] = 0
    np.testing.assert_array_equal(separated(labels)[0], expected)


class TestNothingIsChanged:
    def same(self, labels: np.ndarray, matrix: np.ndarray | None = None) -> str:
        found, note = separated(labels, matrix)
        np.testing.assert_array_equal(found, labels)
        return note

    def test_by_clean_sides_or_few_voxels(self):
        assert self.same(body()) == ""
        assert self.same(body()[::6, ::6, ::6], affine() @ np.diag([6, 6, 6, 1])) == ""

    def test_at_a_border_that_is_not_quite_a_plane(self):
        labels = body().repeat(2, 0)
        # 0.75 mm beyond the plane; the centers of the sides are 36 mm apart.
        for near, far, stripes in ((1, 2, labels[39, ::4]), (2, 1, labels[40, 2::4])):
            stripes[stripes == near] = far
        assert self.same(labels, affine() @ np.diag([0.5, 1, 1, 1])) == ""

    def test_in_a_scan_of_one_side_or_without_pairs(self):
        right = np.where(np.isin(body(), [1, 3]), 0, body())
        assert self.same(right) == self.same(np.where(right > 4, right, 0)) == ""
        # Voxels that a network takes for the left ones are all wrong here, and none of them says where the middle is.
        assert self.same(mixed(right)) == NO_PLANE

    def test_if_the_sides_are_mixed_everywhere(self):
        labels = body()
        paired = (labels > 0) & (labels < 5)
        labels[paired] = np.random.default_rng(0).integers(1, 5, paired.sum())
        assert self.same(labels) == NO_PLANE

    def test_by_a_plane_that_is_not_between_left_and_right(self):
        assert self.same(mixed(body()), affine(2, 80)) == NO_PLANE

    def test_if_one_label_encloses_the_other(self):
        labels = np.ones((9, 9, 9), np.uint8)
        labels[3:6, 3:6, 3:6] = 2
        labels[4, 4, 4] = 1
        assert self.same(labels) == NO_PLANE
