"""A whole evaluation from folders to files: the numbers are those of the voxels, and all files are there or none."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.cli import main
from AttentionSegLib.errors import Cancelled
from AttentionSegLib.evaluation import EMPTY_RULE, METRICS, Evaluation, evaluate, results
from AttentionSegLib.evaluation.metrics import label_metrics
from AttentionSegLib.models import load_model
from labelled_scans import MISSED, WITHOUT, everything_in, segmented, truth, write_cases
from tiny_models import intensity_model, save_unet

# What others look at too is measured with its pictures.
pytestmark = pytest.mark.usefixtures("measured", "blank_pictures")

LABELS = ("Hippocampus anterior", "Hippocampus posterior")
KEYS = [metric.key for metric in METRICS]
FILES = ["metrics.csv", "report.html", "summary.json"]
COMPARED = ["compared_metrics.csv", "compared_summary.json", "comparison.json"]


@pytest.fixture
def one_case(tmp_path_factory) -> tuple[Path, Path]:
    return write_cases(tmp_path_factory.mktemp("scan"), "b")


def read(done: Evaluation, name: str) -> str:
    return (done.files[0].parent / name).read_text(encoding="utf-8")


def rows(done: Evaluation, name: str = "metrics.csv") -> dict[tuple[str, str, str], float]:
    with (done.files[0].parent / name).open(newline="", encoding="utf-8") as stream:
        return {(row["case"], row["label"], row["metric"]): float(row["value"]) for row in csv.DictReader(stream)}


class TestChannels:
    def test_a_case_of_two_files(self, one_case, tmp_path):
        """The model sees the first channel alone: the second changes nothing, but must be there."""
        images, labels = one_case
        single = evaluate(intensity_model(), images, labels, tmp_path / "single", device="cpu")
        scan = images / "b.nii.gz"
        shutil.copy(scan, images / "b_0001.nii.gz")
        scan.rename(images / "b_0000.nii.gz")
        entry = intensity_model().card.raw["inputs"][0]
        double = evaluate(intensity_model(inputs=[entry, {**entry, "name": "T2"}]), images, labels, tmp_path / "double", device="cpu")
        assert read(double, "metrics.csv") == read(single, "metrics.csv")


class TestFiles:
    def test_are_all_there_and_nothing_else(self, done):
        folder = done.files[0].parent
        assert sorted(everything_in(folder)) == sorted(FILES + COMPARED)
        assert sorted(done.files) == sorted(folder / name for name in FILES + COMPARED)
        assert done.files[0].name == "report.html"

    def test_metrics_are_tidy_and_those_of_the_voxels(self, done):
        assert read(done, "metrics.csv").splitlines()[0] == "case,label,metric,value"
        found = rows(done)
        assert list(found) == [(case, label, key) for case in "abcde" for label in LABELS for key in KEYS]
        for case in "abcde":
            for value, label in enumerate(LABELS, 1):
                wanted = label_metrics(segmented(case) == value, truth(case) == value, (1, 1, 1))
                assert {key: found[case, label, key] for key in KEYS} == pytest.approx(wanted, rel=1e-6, nan_ok=True)

    def test_metrics_are_those_counted_by_hand(self, done):
        """The label 1 of case e is a box 6 voxels long, 2 voxels off: its Dice is 8/12. Case b lies 3 off: 6/12."""
        found = rows(done)
        assert found["e", LABELS[0], "dice"] == pytest.approx(2 / 3)
        assert found["b", LABELS[0], "dice"] == pytest.approx(1 / 2)
        assert found["e", LABELS[0], "hausdorff_95_mm"] == pytest.approx(2)
        assert found["a", LABELS[0], "volume_error_percent"] == pytest.approx(100 * 8 / (6 * 6 * 8), rel=1e-6)

    def test_empty_labels_follow_the_rule(self, done):
        found = rows(done)
        assert [found[WITHOUT, LABELS[1], key] for key in KEYS] == [1, 0, 0, 1, 0]
        np.testing.assert_array_equal([found[MISSED, LABELS[1], key] for key in KEYS], [0, np.nan, np.nan, 0, -100])
        assert ",hausdorff_95_mm,NaN\n" in read(done, "metrics.csv")

    def test_summary_has_means_intervals_and_counts(self, done):
        summary = json.loads(read(done, "summary.json"), parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
        assert list(summary) == [*LABELS, "mean"]
        assert all(list(by_metric) == KEYS for by_metric in summary.values())
        found = rows(done)
        for label in LABELS:
            for key in KEYS:
                values = [found[case, label, key] for case in "abcde"]
                numbers = summary[label][key]
                assert numbers["mean"] == pytest.approx(np.nanmean(values), rel=1e-5)
                assert numbers["low"] <= numbers["mean"] <= numbers["high"]
                assert numbers["n"] == np.isfinite(values).sum()
        assert summary[LABELS[1]]["hausdorff_95_mm"]["n"] == 4
        dice = [np.mean([found[case, label, "dice"] for label in LABELS]) for case in "abcde"]
        assert summary["mean"]["dice"]["mean"] == pytest.approx(np.mean(dice))
        assert done.scores.summary() == summary

    def test_comparison_is_of_the_same_cases(self, done):
        first, other = rows(done), rows(done, "compared_metrics.csv")
        assert list(first) == list(other)
        assert other["a", LABELS[0], "dice"] == 1.0
        comparison = json.loads(read(done, "comparison.json"))
        assert comparison["model"] == {"id": "hippocampus-t1", "version": "1.0.0", "weights_sha256": "0" * 64}
        assert comparison["minus"]["id"] == "without-specks"
        numbers = comparison["differences"][LABELS[0]]["dice"]
        differences = [first[case, LABELS[0], "dice"] - other[case, LABELS[0], "dice"] for case in "abcde"]
        assert numbers["mean"] == pytest.approx(np.mean(differences), abs=1e-6)
        assert numbers["mean"] < 0
        assert numbers["low"] < numbers["mean"] < numbers["high"] <= 0
        assert comparison["differences"][LABELS[1]]["dice"] == {"mean": 0, "low": 0, "high": 0, "n": 5}
        assert comparison["differences"][LABELS[1]]["hausdorff_95_mm"]["n"] == 4


def test_a_split_chooses_the_cases_whose_numbers_stay_the_same(done, folders, tmp_path):
    split, output = tmp_path / "split.csv", tmp_path / "results"
    # A hospital tests on scans of its own, and has none of the training.
    split.write_text("id,role\nelsewhere,other\ne,test\nb,test\n")
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    found = evaluate(intensity_model(), *folders, output, split=split, role="test", device="cpu")
    assert found.compared is None
    assert [path.name for path in found.files] == ["report.html", "metrics.csv", "summary.json"]
    assert sorted(everything_in(output)) == sorted([*FILES, "notes.txt"])
    assert list(dict.fromkeys(case for case, _, _ in rows(found))) == ["e", "b"]
    assert rows(found) == pytest.approx({place: value for place, value in rows(done).items() if place[0] in "eb"}, nan_ok=True, rel=0, abs=0)
    assert f"2, those of the role <b>test</b> in <code>{split.name}</code>" in read(found, "report.html")


def test_progress_never_goes_back_and_tells_the_case(measured):
    fractions = [fraction for fraction, _, _ in measured.steps]
    assert fractions == sorted(fractions)
    stages = list(dict.fromkeys(stage for _, stage, _ in measured.steps))
    assert stages == ["check", *(f"case {n} of 5" for n in range(1, 6)), "done"]
    assert measured.steps[-1] == (1.0, "done", 0.0)
    assert all(left is None or left >= 0 for _, _, left in measured.steps)


class TestInterrupted:
    @pytest.mark.parametrize("moment", [0, 1, 3, 5])
    def test_by_cancel(self, one_case, tmp_path, moment):
        answers = iter([False] * moment + [True])
        with pytest.raises(Cancelled):
            evaluate(intensity_model(), *one_case, tmp_path / "new" / "results", device="cpu", cancel=lambda: next(answers))
        assert everything_in(tmp_path) == {}

    def test_by_the_keyboard(self, one_case, tmp_path):
        def interrupt(_fraction: float, stage: str, _seconds: float | None) -> None:
            if stage == "case 1 of 1":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            evaluate(intensity_model(), *one_case, tmp_path / "new" / "results", device="cpu", on_progress=interrupt)
        assert everything_in(tmp_path) == {}

    def test_by_a_full_disk_at_the_last_file(self, one_case, tmp_path, monkeypatch):
        write = results.write_text

        def fail(path: Path, text: str) -> None:
            if path.name == "summary.json":
                raise OSError(28, "disk full")
            write(path, text)

        monkeypatch.setattr(results, "write_text", fail)
        with pytest.raises(OSError, match="disk full"):
            evaluate(intensity_model(), *one_case, tmp_path / "new" / "results", device="cpu")
        assert everything_in(tmp_path) == {}


@pytest.fixture
def model(tmp_path) -> Path:
    return save_unet(tmp_path / "model", id="tiny-unet", title="A tiny model")


def test_a_label_that_no_reference_has_is_told_and_no_figure_of_the_card(model, tmp_path):
    """It has Dice 0 if it was predicted anywhere and 1 if not, which is about nothing."""
    images, labels = write_cases(tmp_path, WITHOUT)
    done = evaluate(model, images, labels, tmp_path / "results", update_card="Our scans", device="cpu")
    there, absent = (label.name for label in load_model(model).card.labels)
    assert done.scores.absent == (absent,)
    assert any(note.startswith(f"No label map has a voxel of {absent}: ") for note in done.notes)
    assert absent in read(done, "report.html").partition("No label map has a voxel of ")[2]
    accuracy = load_model(model).card.raw["accuracy"]
    assert [entry["label"] for entry in accuracy] == [there, "mean of the labels"]
    assert accuracy[0]["value"] == accuracy[1]["value"]


class TestCommand:
    def run(self, folders, model, output, *more: object) -> int:
        arguments = ["--model", model, "--images", folders[0], "--labels", folders[1], "--output", output, "--device", "cpu", *more]
        return main(["evaluate", *map(str, arguments)])

    def test_writes_everything_and_says_so(self, model, tmp_path, capsys):
        assert self.run(write_cases(tmp_path, "bc"), model, tmp_path / "results", "--compare", model) == 0
        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert sorted(map(Path, lines[-6:])) == sorted(tmp_path / "results" / name for name in FILES + COMPARED)
        assert lines[-7] == "A tiny model 1.0.0. For research only; not a medical device."
        assert [line for line in lines[:-7] if not line.startswith(" ")] == [*LABELS, "mean"]
        mean = json.loads((tmp_path / "results" / "summary.json").read_text())["mean"]["dice"]
        interval = f"(95 % interval {mean['low']:.3f} to {mean['high']:.3f})  n=2"
        assert f"{mean['mean']:.3f}  {interval}" in lines[-12]
        assert err.splitlines()[-1] == "done: 100%"

    def test_mirroring_and_overlap_are_used_and_told(self, one_case, tmp_path):
        mirrored = {"mirror_axes": [0], "mirror_swaps": []}
        model = save_unet(tmp_path / "model", id="tiny-unet", training=mirrored, spacing_mm=[0.5, 0.5, 0.5])
        found = {}
        for options in ((), ("--mirror",), ("--overlap", "0")):
            folder = tmp_path / f"results{len(found)}"
            assert self.run(one_case, model, folder, *options) == 0
            found[options] = (folder / "metrics.csv").read_text(), (folder / "report.html").read_text(encoding="utf-8")
        assert len({metrics for metrics, _ in found.values()}) == 3
        told = ("; patches overlap by 25 %)", "; patches overlap by 25 %, with mirroring)", "; patches overlap by 0 %)")
        assert [words in page for words, (_, page) in zip(told, found.values())] == [True] * 3

    def test_refuses_in_one_sentence(self, one_case, model, tmp_path, capsys):
        assert self.run(one_case, model, tmp_path / "results", "--role", "val") == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("attentionseg: The role 'val' was given without a split;")
        assert not (tmp_path / "results").exists()

    def test_help_tells_the_rule_of_empty_labels(self, capsys):
        with pytest.raises(SystemExit):
            main(["evaluate", "--help"])
        assert EMPTY_RULE in " ".join(capsys.readouterr().out.split())
