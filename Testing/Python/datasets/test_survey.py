"""What is found by reading every case once: what stops a training, what is odd, and the numbers that a plan is made of."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from AttentionSegLib.datasets.case_set import folder_cases
from AttentionSegLib.datasets.label_reading import LabelReading
from AttentionSegLib.datasets.survey import Survey, make_survey, write_survey
from AttentionSegLib.errors import Cancelled, InputError
from poses import AXES, affine_around

SHAPE = (12, 14, 16)
SPACING = (1.0, 1.5, 2.0)
NAMES = {1: "Left kidney", 2: "Right kidney"}


def affine(axes: str = "RAS", spacing: tuple[float, float, float] = SPACING) -> np.ndarray:
    return affine_around((5, -7, 9), SHAPE, AXES[axes], spacing)


def make_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, with label 1 left and label 2 right in RAS."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 3:9, 4:8] = 1
    labels[8:11, 3:9, 4:8] = 2
    image = np.random.default_rng(seed).integers(0, 100, SHAPE) + 100 * labels
    return image.astype(np.int16), labels


class Data:
    """A folder of cases a, b, c, d, of which d is to validate on; tests replace some."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("images", "labels"):
            (folder / name).mkdir()
        (folder / "split.csv").write_text("id,role\na,train\nb,train\nc,train\nd,val\n")
        for seed, case in enumerate("abcd"):
            image, labels = make_case(seed)
            self.write("images", case, image)
            self.write("labels", case, labels)

    def write(self, kind: str, case: str, voxels: np.ndarray, placed: np.ndarray | None = None) -> Path:
        path = self.folder / kind / f"{case}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, affine() if placed is None else placed), path)
        return path

    def write_labels(self, **labels: np.ndarray) -> None:
        for case, voxels in labels.items():
            self.write("labels", case, voxels)

    def survey(self, names: dict[int, str] | None = NAMES, ignored: int | None = None, **more: object) -> Survey:
        reading = LabelReading(ignored_label=ignored)
        return make_survey(folder_cases(self.folder / "images", self.folder / "labels", self.folder / "split.csv", names, (), reading), **more)

    def refused(self, **more: object) -> str:
        with pytest.raises(InputError) as raised:
            self.survey(**more)
        assert re.fullmatch(r"The data cannot be used for training; \d+ problem\(s\): [^\n]+\.", str(raised.value))
        return str(raised.value)

    def odd(self, **more: object) -> str:
        """The sentences beside that of the split."""
        sentences = self.survey(**more).notes[1:]
        assert all(re.fullmatch(r"[^\n]+\.", sentence) for sentence in sentences)
        return "\n".join(sentences)


@pytest.fixture
def data(tmp_path) -> Data:
    return Data(tmp_path)


class TestNumbers:
    def test_geometry_and_labels(self, data):
        case = data.survey().cases[0]
        assert (case.id, case.role, case.shape, case.spacing_mm, case.orientation, case.oblique_degrees) == ("a", "train", SHAPE, SPACING, "RAS", 0)
        assert case.extent_mm == (12, 21, 32)
        assert case.labels_box_mm == (9, 9, 8)
        left = case.labels[1]
        assert (left.voxels, left.box_mm, left.components, left.hole_voxels, left.at_edge) == (72, (3, 9, 8), 1, 0, False)
        assert left.center_mm == (-2.5, -1.5, -4)
        assert case.labels[2].center_mm == (3.5, -1.5, -4)

    def test_a_scan_stored_another_way_measures_the_same(self, data):
        def turned(voxels: np.ndarray) -> np.ndarray:
            return voxels[::-1].transpose(2, 0, 1).copy()

        image, labels = make_case(0)
        # Superior, left, anterior.
        placed = affine() @ np.array([[0, -1, 0, SHAPE[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
        data.write("images", "b", turned(image), placed)
        data.write("labels", "b", turned(labels), placed)
        first, other = data.survey().cases[:2]
        assert other.orientation == "SLA"
        assert (other.shape, other.spacing_mm, other.labels, other.labels_box_mm) == (
            first.shape,
            first.spacing_mm,
            first.labels,
            first.labels_box_mm,
        )

    def test_parts_and_holes(self, data):
        labels = make_case(0)[1]
        labels[3, 5, 5] = 0
        labels[9, 5, 5] = 1
        data.write_labels(a=labels)
        found = data.survey().cases[0].labels
        # The hole of label 2 is filled with label 1, so there is nothing to fill.
        assert (found[1].components, found[1].hole_voxels) == (2, 1)
        assert (found[2].components, found[2].hole_voxels) == (1, 0)

    def test_intensities(self, data):
        image = make_case(0)[0]
        image[:, :, :8] = -1000
        data.write("images", "a", image)
        of = data.survey().cases[0].intensities[0]
        assert (of.minimum, of.maximum, of.share_at_minimum) == (-1000, image.max(), 0.5)
        assert (of.percentile_0_5, of.median, of.percentile_99_5) == pytest.approx(np.percentile(image, (0.5, 50, 99.5)))

    def test_foreground_is_of_labelled_voxels_to_learn_from(self, data):
        data.write("images", "d", make_case(3)[0] + 5000)
        voxels = np.concatenate([image[labels > 0] for image, labels in map(make_case, range(3))])
        of = data.survey().foreground[0]
        assert (of.mean, of.std) == pytest.approx((voxels.mean(), voxels.std()), rel=0.02)
        assert (of.percentile_0_5, of.percentile_99_5) == pytest.approx(np.percentile(voxels, (0.5, 99.5)), rel=0.05)

    def test_ignored_voxels_are_no_label(self, data):
        labels = make_case(0)[1]
        labels[labels == 2] = 9
        data.write_labels(a=labels)
        survey = data.survey(ignored=9)
        assert survey.cases[0].labels.keys() == {1}
        assert survey.ignored_label == 9

    def test_labels_without_names(self, data):
        assert data.survey(names=None).label_names == {1: "Label 1", 2: "Label 2"}

    def test_it_can_be_written(self, data, tmp_path):
        survey = data.survey()
        write_survey(survey, tmp_path / "survey.json")
        document = json.loads((tmp_path / "survey.json").read_text(encoding="utf-8"))
        assert document["cases"][0]["labels"]["1"]["voxels"] == 72
        assert document["notes"] == list(survey.notes)


class TestDrawnCases:
    def test_another_case_is_drawn_in_place_of_one_without_labels(self, data):
        drawn = folder_cases(data.folder / "images", data.folder / "labels", seed=1)
        (empty,) = [case.id for case in drawn.roles["val"]]
        data.write_labels(**{empty: np.zeros(SHAPE, np.uint8)})
        survey = make_survey(drawn)
        role_of = {case.id: case.role for case in survey.cases}
        assert sorted(role_of.values()) == ["train", "train", "train", "val"]
        assert role_of[empty] == "train"
        assert "in a second draw" in survey.notes[0]

    def test_a_split_stays_as_it_is(self, data):
        data.write_labels(d=np.zeros(SHAPE, np.uint8))
        assert {case.id: case.role for case in data.survey().cases}["d"] == "val"

    def test_deviations_that_were_accepted_are_told(self, data):
        beside = affine()
        beside[0, 3] += 0.01
        data.write("labels", "b", make_case(1)[1], beside)
        assert "The label map lies less than a tenth of a voxel beside its scan in 1 of 4 cases: b (0.01 mm)." in data.survey().notes


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


class TestProgress:
    def test_it_goes_from_case_to_case(self, data):
        told = []
        data.survey(on_progress=lambda *news: told.append(news))
        assert [(fraction, stage) for fraction, stage, _ in told] == [*((n / 4, f"case {n + 1} of 4") for n in range(4)), (1.0, "done")]
        assert told[0][2] is None
        assert told[1][2] > 0

    def test_it_can_be_cancelled(self, data):
        asked = []
        with pytest.raises(Cancelled, match="case 3 of 4"):
            data.survey(cancel=lambda: asked.append(1) or len(asked) == 3)
