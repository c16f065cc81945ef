"""What is found by reading every case once: what stops a training, and what is odd."""

from __future__ import annotations

import numpy as np
import pytest
from surveyed_data import NAMES, SHAPE, affine, make_case


class TestStopping:
    def test_every_case_is_named_at_once(self, data):
        image, labels = make_case(0)
        data.write("labels", "a", labels, affine(spacing=(2, 2, 2)))
        data.write("images", "b", np.zeros(SHAPE, np.int16))
        (data.folder / "images" / "c.nii.gz").write_bytes(b"no scan")
        broken = image.astype(np.float32)
        broken[3, 3, 3] = np.inf
        data.write("images", "d", broken)
        text = data.refused()
        assert text.startswith("The data cannot be used for training; 4 problem(s): ")
        for sentence in (
            "The voxels differ in size or direction",
            "b.nii.gz has the same intensity (0) everywhere",
            "c.nii.gz is ",
            "d.nii.gz has 1 voxel(s) that are NaN",
        ):
            assert sentence in text

    def test_the_first_of_many(self, data):
        for n in range(9):
            data.write("images", f"x{n}", np.zeros(SHAPE, np.int16))
            data.write("labels", f"x{n}", make_case(0)[1])
        (data.folder / "split.csv").write_text("id,role\na,val\n" + "".join(f"x{n},train\n" for n in range(9)))
        assert data.refused().endswith(" And 4 more.")

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ({1: 1, 2: 7}, "holds 7, not among the labels (0 background, 1 Left kidney, 2 Right kidney)"),
            ({1: 1, 2: 1.5}, "holds fractions, such as 1.5"),
            ({1: 1, 2: np.inf}, "holds fractions, such as inf"),
        ],
        ids=["unknown", "fraction", "infinite"],
    )
    def test_values_that_are_no_labels(self, data, values, sentence):
        labels = make_case(0)[1].astype(np.float32)
        data.write_labels(b=np.select([labels == value for value in values], list(values.values()), 0.0).astype(np.float32))
        text = data.refused()
        assert sentence in text
        assert "b.nii.gz" in text

    def test_a_scan_in_place_of_a_label_map(self, data):
        data.write_labels(a=np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE))
        assert "a.nii.gz holds too many different values" in data.refused(names=None)

    def test_a_value_that_nobody_uses(self, data):
        data.write_labels(**{case: make_case(0)[1] * 2 for case in "abcd"})
        text = data.refused(names=None)
        assert "The label maps hold 2, 4, but not 1, 3; read them as such (--label-map 2=1,4=2), or" in text

    def test_masks_of_255(self, data):
        data.write_labels(**{case: 255 * (make_case(0)[1] > 0).astype(np.uint8) for case in "abcd"})
        text = data.refused(names=None)
        assert "holds 255, not among the labels (0 background, 1..254)" in text
        assert "(--label-map 255=1)" in text

    @pytest.mark.parametrize(("cases", "names"), [("abcd", NAMES), ("abc", NAMES), ("abc", None)], ids=["nowhere", "only-validated", "unnamed"])
    def test_a_label_that_cannot_be_learned(self, data, cases, names):
        data.write_labels(**{case: (make_case(0)[1] == 1).astype(np.uint8) for case in cases})
        assert f"No training case has a voxel of 2{' Right kidney' if names else ''};" in data.refused(names=names)

    def test_no_label_at_all(self, data):
        data.write_labels(**{case: np.zeros(SHAPE, np.uint8) for case in "abc"})
        assert "No training case has a label;" in data.refused(names=None)


class TestOdd:
    def test_nothing_is_odd(self, data):
        assert [sentence for sentence in data.odd().splitlines() if "tiny" not in sentence] == []

    def test_tiny_labels(self, data):
        assert "'Left kidney' is tiny: 72 voxels in the median case" in data.odd()

    def test_a_missing_label(self, data):
        data.write_labels(b=(make_case(0)[1] == 1).astype(np.uint8))
        assert "'Right kidney' is missing in 1 of 4 cases: b." in data.odd()

    def test_a_case_without_labels(self, data):
        data.write_labels(b=np.zeros(SHAPE, np.uint8))
        text = data.odd()
        assert "1 of 4 cases have no label at all: b." in text
        assert "is missing" not in text

    def test_a_slip_of_the_brush(self, data):
        labels = make_case(0)[1]
        labels[labels == 1] = 0
        labels[4, 4, 4] = 1
        data.write_labels(c=labels)
        assert "'Left kidney' has less than 10 % of its usual 72 voxels in 1 case(s): c (1);" in data.odd()

    def test_labels_that_are_cut_off(self, data):
        labels = make_case(0)[1]
        labels[8:11, 3:9, :8] = 2
        data.write_labels(a=labels)
        assert "'Right kidney' reaches the edge of the scan in 1 of 4 cases" in data.odd()

    def test_exchanged_sides(self, data):
        data.write_labels(c=make_case(0)[1][::-1].copy())
        assert "'Left kidney' lies to the right of 'Right kidney' in 1 of 4 cases: c; the labels may be exchanged" in data.odd()

    def test_other_spacing_and_orientation(self, data):
        image, labels = make_case(1)
        for kind, voxels in (("images", image), ("labels", labels)):
            data.write(kind, "b", voxels, affine(spacing=(1, 1.5, 4)))
            data.write(kind, "c", voxels[::-1, ::-1].copy(), affine("LPS"))
        text = data.odd()
        assert "1 of 4 cases have voxels more than 1.5 times larger or smaller than usual (1 x 1.5 x 2 mm): b." in text
        assert "different orientations (RAS 3, LPS 1)" in text

    def test_thick_and_oblique_slices(self, data):
        turned = np.eye(4)
        angle = np.radians(10)
        turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        for case in "abcd":
            image, labels = make_case(ord(case))
            for kind, voxels in (("images", image), ("labels", labels)):
                data.write(kind, case, voxels, turned @ np.diag([1, 1, 4, 1.0]))
        text = data.odd()
        assert "The axial slices are thick: 4 mm, where the voxels are 1 mm wide." in text
        assert "4 of 4 cases have axes over 5 degrees off those of the patient: a, b, c, d;" in text

    def test_masked_background_and_many_units(self, data):
        image, _ = make_case(0)
        image[:, :, 8:] = -1000
        data.write("images", "a", image)
        data.write("images", "b", image.astype(np.int32) * 100)
        text = data.odd()
        assert "2 of 4 cases have one lowest intensity (mostly -1000) in more than 30 % of the voxels" in text
        assert "so the scans have no common unit." in text

    def test_a_scan_that_is_there_twice(self, data):
        data.write("images", "d", make_case(1)[0])
        assert "Some cases have the same scan: b and d; as some are in both training and validation" in data.odd()
