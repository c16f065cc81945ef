"""The label maps of heads: which side is which, and what is learned as what."""

from __future__ import annotations

import brain_label_maps as maps
import numpy as np
import pytest

SHAPE = (60, 50, 40)
LEFT_CORTEX, RIGHT_CORTEX, LEFT_WHITE, RIGHT_WHITE, LEFT_PUTAMEN, RIGHT_PUTAMEN = 3, 42, 2, 41, 12, 51


@pytest.fixture
def head() -> np.ndarray:
    """Two hemispheres with a bent fissure between them, and a putamen in each; the first axis runs from right to left."""
    i, j, k = np.indices(SHAPE)
    fissure = 29.5 + 2 * np.sin(j / 8)
    brain = ((i - 29.5) / 27) ** 2 + ((j - 25) / 22) ** 2 + ((k - 20) / 17) ** 2 < 1
    inner = ((i - 29.5) / 22) ** 2 + ((j - 25) / 17) ** 2 + ((k - 20) / 12) ** 2 < 1
    is_left = i > fissure
    numbers = np.where(is_left, LEFT_CORTEX, RIGHT_CORTEX)
    numbers[inner] = np.where(is_left, LEFT_WHITE, RIGHT_WHITE)[inner]
    numbers[np.abs(i - fissure) < 1.5] = 24
    numbers[~brain] = 0
    numbers[8:18, 20:30, 15:25] = RIGHT_PUTAMEN
    numbers[42:52, 20:30, 15:25] = LEFT_PUTAMEN
    return numbers


def test_sides_are_told_apart_along_a_bent_fissure(head):
    assert maps.share_on_wrong_side(head) < 0.005


def test_a_part_goes_whole_to_its_side(head):
    merged = np.where(head == RIGHT_PUTAMEN, LEFT_PUTAMEN, head)
    # Closer to the fissure than any plane could cut.
    merged[26:30, 24:28, 18:22] = LEFT_PUTAMEN
    found = maps.split_sides(np.where(merged == RIGHT_CORTEX, LEFT_CORTEX, np.where(merged == RIGHT_WHITE, LEFT_WHITE, merged)))
    assert (found[8:18, 20:30, 15:25] == RIGHT_PUTAMEN).all()
    assert (found[42:52, 20:30, 15:25] == LEFT_PUTAMEN).all()
    assert len(np.unique(found[26:30, 24:28, 18:22])) == 1


def test_choroid_plexus_lies_in_the_nearer_ventricle():
    numbers = np.zeros((30, 10, 10), int)
    numbers[2:6], numbers[20:24] = maps.LATERAL, maps.INFERIOR
    numbers[7], numbers[18] = maps.CHOROID, maps.CHOROID
    found = maps.with_choroid_told_apart(numbers)
    assert (found[7] == 136).all()
    assert (found[18] == 137).all()


def test_every_number_has_its_label_and_unknown_ones_are_named():
    numbers = np.array([0, 2, 41, 16, 25, 24]).reshape(1, 2, 3)
    labels = maps.renumbered(numbers).ravel()
    assert labels[:4].tolist() == [0, 1, 15, 31]
    assert [maps.NAMES[label - 1] for label in labels[1:4]] == ["Left cerebral white matter", "Right cerebral white matter", "Brainstem"]
    assert [maps.LEARNED_AS[int(label)] for label in labels[4:]] == [1, 0]
    with pytest.raises(ValueError, match="999"):
        maps.renumbered(np.array([[[999]]]))


def test_small_ventricles_keep_their_depth_and_give_way_to_the_tissue_beside_them(head):
    head[20:30, 20:30, 15:25] = maps.LATERAL
    head[25, 25, 20] = 136
    small = maps.with_small_ventricles(head)
    before, after = (np.isin(numbers, [maps.LATERAL, 136]) for numbers in (head, small))
    assert after.sum() / before.sum() == pytest.approx(0.45, abs=0.02)
    assert not (after & ~before).any()
    assert small[25, 25, 20] == 136
    assert np.isin(small[before & ~after], [LEFT_WHITE, RIGHT_WHITE]).all()
    np.testing.assert_array_equal(small[~before], head[~before])
