"""Segmentations of any program against labels, and regions given for each case."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.cli import main
from AttentionSegLib.datasets import LabelReading
from AttentionSegLib.errors import InputError
from AttentionSegLib.evaluation import evaluate
from AttentionSegLib.evaluation.predictions import evaluate_predictions
from AttentionSegLib.files import write_map, write_segmentation
from AttentionSegLib.image import Image
from labelled_scans import AFFINE, everything_in, segmented, truth, write_cases
from segmentation_files import write_segments
from tiny_models import intensity_model, make_card


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Predictions and label maps of three cases."""
    _, labels = write_cases(tmp_path, "abc")
    (tmp_path / "predictions").mkdir()
    for case in "abc":
        write_map(Image(segmented(case)[None], AFFINE), tmp_path / "predictions" / f"{case}.nii.gz")
    return tmp_path / "predictions", labels


def dice(case: str, value: int) -> float:
    one, other = segmented(case) == value, truth(case) == value
    return 2 * (one & other).sum() / (one.sum() + other.sum()) if one.any() or other.any() else 1.0


def measured(folder: Path) -> dict[tuple[str, str], float]:
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        return {(row["case"], row["label"]): float(row["value"]) for row in csv.DictReader(file) if row["metric"] == "dice"}


class TestPredictions:
    def test_are_measured_without_a_model(self, folders, tmp_path, capfd):
        more = ["--labels", str(folders[1]), "--output", str(tmp_path / "out"), "--label-names", "Front,Back"]
        assert main(["evaluate", "--predictions", str(folders[0]), *more]) == 0
        assert measured(tmp_path / "out") == pytest.approx(
            {(case, name): dice(case, value) for case in "abc" for value, name in enumerate(("Front", "Back"), 1)}
        )
        assert json.loads((tmp_path / "out" / "summary.json").read_text())["mean"]["dice"]["n"] == 3
        assert "Front" in capfd.readouterr().out
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert "Front" in page
        # Parent folders may be called after patients.
        assert str(tmp_path) not in page

    def test_what_has_no_partner_is_left_out_and_told(self, folders, tmp_path):
        (folders[0] / "c.nii.gz").rename(folders[0] / "z.nii.gz")
        done = evaluate_predictions(*folders, tmp_path / "out")
        assert done.scores.cases == ("a", "b")
        assert (done.scores.labels, [note.rpartition(": ")[2] for note in done.notes]) == (("Label 1", "Label 2"), ["c.", "z."])

    @pytest.mark.parametrize("suffix", ["_0000", "_seg", "_segmentation", "-label"])
    def test_with_what_a_program_adds_to_every_name(self, folders, tmp_path, suffix):
        for path in list(folders[0].iterdir()):
            path.rename(path.with_name(path.name.replace(".nii", f"{suffix}.nii")))
        done = evaluate_predictions(*folders, tmp_path / "out")
        assert (done.scores.cases, done.notes) == (("a", "b", "c"), (f"The predictions were paired without the '{suffix}' of their names.",))

    def test_values_that_no_label_map_has_are_told(self, folders, tmp_path):
        for case in "abc":
            write_map(Image(255 * (segmented(case)[None] > 0).astype(np.uint8), AFFINE), folders[0] / f"{case}.nii.gz")
        done = evaluate_predictions(*folders, tmp_path / "out")
        assert "255 in no label map, and 1, 2 in no prediction" in done.notes[0]

    def test_segments_of_other_names_are_told_from_those_of_the_label_map(self, tmp_path):
        for kind, names in (("labels", ("Front", "Back")), ("predictions", ("Segment_1", "Segment_2"))):
            (tmp_path / kind).mkdir()
            write_segments(tmp_path / kind / "a.seg.nrrd", truth("a")[None], AFFINE, [(name, value, 0) for value, name in enumerate(names, 1)])
        with pytest.raises(InputError, match=r"predictions.a.seg.nrrd has .*'Segment_1', 'Segment_2', and .*labels.a.seg.nrrd has 'Front', 'Back'"):
            evaluate_predictions(tmp_path / "predictions", tmp_path / "labels", tmp_path / "out")

    def test_of_a_batch_by_the_names_of_their_segments(self, folders, tmp_path):
        for case in "abc":
            place = tmp_path / "batch" / "cases" / case
            place.mkdir(parents=True)
            write_segmentation(Image(segmented(case)[None], AFFINE), make_card(), place / f"{case}_segmentation.seg.nrrd")
            write_map(Image(segmented(case)[None], AFFINE), place / f"{case}_uncertainty.nrrd", "uncertainty", make_card())
        done = evaluate_predictions(tmp_path / "batch", folders[1], tmp_path / "out")
        assert done.scores.labels == tuple(label.name for label in make_card().labels)
        assert list(measured(tmp_path / "out").values()) == pytest.approx([dice(case, value) for case in "abc" for value in (1, 2)])

    def test_stored_in_another_order_of_the_axes(self, folders, tmp_path):
        turned = AFFINE @ np.array([[-1.0, 0, 0, segmented("a").shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        write_map(Image(segmented("a")[None, ::-1], turned), folders[0] / "a.nii.gz")
        evaluate_predictions(*folders, tmp_path / "out")
        assert measured(tmp_path / "out")["a", "Label 1"] == pytest.approx(dice("a", 1))

    def test_a_label_that_no_label_map_has_is_told(self, folders, tmp_path):
        names = {1: "Front", 2: "Back"}
        for case in "ab":
            (folders[1] / f"{case}.nrrd").unlink()
        done = evaluate_predictions(*folders, tmp_path / "out", label_names=names)
        assert done.scores.absent == ("Back",)
        assert any(note.startswith("No label map has a voxel of Back: ") for note in done.notes)

    def test_on_another_grid_than_their_reference(self, folders, tmp_path):
        write_map(Image(segmented("a")[None], AFFINE @ np.diag([2.0, 1, 1, 1])), folders[0] / "a.nii.gz")
        with pytest.raises(InputError, match=r"its prediction .* to the grid of the reference") as raised:
            evaluate_predictions(*folders, tmp_path / "out")
        assert "scan" not in str(raised.value)
        done = evaluate_predictions(*folders, tmp_path / "out", reading=LabelReading(resample=True))
        assert "The prediction was resampled by nearest neighbor to the grid of its reference in 1 of 3 cases" in done.notes[0]

    def test_a_folder_is_not_measured_on_itself(self, folders, tmp_path):
        with pytest.raises(InputError, match="are both"):
            evaluate_predictions(folders[0], folders[0], tmp_path / "out")

    def test_every_bad_case_is_named_and_nothing_is_written(self, folders, tmp_path):
        for case in "ab":
            (folders[0] / f"{case}.nii.gz").write_text("no image at all " * 30)
        before = everything_in(tmp_path)
        with pytest.raises(InputError, match=r"2 problem\(s\): .*a.nii.gz.*b.nii.gz"):
            evaluate_predictions(*folders, tmp_path / "out")
        assert everything_in(tmp_path) == before

    def test_a_value_that_is_no_label(self, folders, tmp_path):
        with pytest.raises(InputError, match=r"holds 2, not among the labels \(0 background, 1 Front\)"):
            evaluate_predictions(*folders, tmp_path / "out", label_names={1: "Front"})

    def test_none_in_common(self, folders, tmp_path):
        for case in "abc":
            (folders[0] / f"{case}.nii.gz").rename(folders[0] / f"other_{case}.nii.gz")
        with pytest.raises(InputError, match="has the name of a label map"):
            evaluate_predictions(*folders, tmp_path / "out")

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ([], "--predictions DIR"),
            (["--predictions", "p", "--model", "m"], "leave out --model"),
            (["--model", "m"], "--images DIR"),
            (["--predictions", "p", "--explain-method", "seg-grad-cam", "--mirror"], "leave out --mirror, --explain-method"),
        ],
    )
    def test_either_these_or_a_model(self, folders, tmp_path, capfd, arguments, sentence):
        assert main(["evaluate", *arguments, "--labels", str(folders[1]), "--output", str(tmp_path / "out")]) == 2
        assert sentence in capfd.readouterr().err


class TestRegions:
    @pytest.fixture
    def table(self, tmp_path) -> Path:
        # Of the first label alone, but for the last case.
        middle = AFFINE @ [6, 7, 7.5, 1]
        around = ",".join(f"{number:g}" for number in (*middle[:3], 9, 9, 9))
        (tmp_path / "regions.csv").write_text(f'id,region\na,"{around}"\nb,"{around}"\nc,"20,-30,40,60,60,60"\n')
        return tmp_path / "regions.csv"

    @pytest.fixture
    def labelled(self, tmp_path) -> tuple[Path, Path]:
        return write_cases(tmp_path / "cases", "abc")

    def test_what_lies_beside_stays_background(self, labelled, table, tmp_path, blank_pictures):
        evaluate(intensity_model(), *labelled, tmp_path / "out", regions=table, device="cpu", backend="torch")
        found = measured(tmp_path / "out")
        assert found["a", "Hippocampus posterior"] == 0
        assert found["c", "Hippocampus anterior"] == pytest.approx(dice("c", 1))

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("id,region\na,\n", "has no region for a, b, c"),
            ("id;region\na;1,2\nb;1,2,3,4,5,6\nc;x\n", r"2 problem\(s\): a: The region '1,2'"),
            ("case,box\n", "has no column 'id' or no column 'region', only case, box"),
        ],
    )
    def test_a_table_that_cannot_be_used(self, labelled, table, tmp_path, text, sentence):
        table.write_text(text)
        with pytest.raises(InputError, match=sentence):
            evaluate(intensity_model(), *labelled, tmp_path / "out", regions=table, device="cpu", backend="torch")
