"""The record of a run, as somebody reads it back later."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from AttentionSegLib.errors import OutputError
from AttentionSegLib.image import Image
from AttentionSegLib.region import Region
from AttentionSegLib.reporting import run_report, write_report
from predictions import AXES, SPACING, affine_around, coarse_map, make_prediction


@pytest.fixture
def prediction():
    labels = np.zeros((12, 10, 8), np.uint8)
    labels[2:6, 3:5, 1:4] = 1
    affine = affine_around((20, -15, 30), labels.shape, AXES["oblique"], SPACING)
    image = Image(labels[None], affine)
    return make_prediction(labels, affine, {"gate_2": coarse_map(image, 2), "gate_1": coarse_map(image, 4)})


def read_strictly(path) -> dict:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


class TestRunReport:
    def test_says_what_was_found(self, prediction):
        anterior, posterior = run_report(prediction, ["scan.nii.gz"], None, [])["labels"]
        assert (anterior["name"], anterior["voxels"]) == ("Hippocampus anterior", 24)
        assert anterior["milliliters"] == pytest.approx(24 * 3.6 / 1000)
        assert anterior["mean_uncertainty"] == pytest.approx(0.25)
        assert (posterior["voxels"], posterior["milliliters"], posterior["center_ras_mm"]) == (0, 0.0, None)

    def test_says_by_what_and_on_what(self, prediction):
        report = run_report(prediction, ["in/scan.nii.gz"], None, ["out/scan_seg.nrrd"])
        assert report["model"]["id"] == prediction.card.id
        assert report["model"]["version"] == prediction.card.version
        assert report["model"]["weights_sha256"] == prediction.card.weights_sha256
        assert (report["inputs"], report["outputs"]) == (["in/scan.nii.gz"], ["out/scan_seg.nrrd"])
        assert report["geometry"]["shape"] == [12, 10, 8]
        assert report["geometry"]["spacing_mm"] == pytest.approx(SPACING)
        assert (report["device"], report["notes"]) == ("cpu", list(prediction.notes))
        assert report["seconds"] == {"predict": 1.235, "restore": 0.5}
        assert {"attentionseg", "python", "numpy"} <= set(report["versions"])
        assert report["statement"] == "For research only; not a medical device."

    def test_gives_the_range_of_every_attention_map_in_their_order(self, prediction):
        maps = run_report(prediction, [], None, [])["attention"]
        assert [entry["name"] for entry in maps] == ["gate_2", "gate_1"]
        for entry, image in zip(maps, prediction.attention.values()):
            assert entry["range"] == pytest.approx([image.voxels.min(), image.voxels.max()])
            assert entry["shape"] == list(image.shape)

    def test_names_every_attention_map_in_words(self, prediction):
        maps = run_report(prediction, [], None, [])["attention"]
        assert [entry["title"] for entry in maps] == ["Attention gate, level 2 (1.6 x 6 x 3 mm)", "Attention gate, level 1 (3.2 x 12 x 6 mm)"]

    def test_tells_what_was_measured_of_a_map(self, prediction):
        measured, other = list(prediction.attention)[:2]
        maps = [{"map": measured, "roc_auc": 0.9, "data": "scans", "cases": 5, "command": "attentionseg evaluate --maps"}]
        card = replace(prediction.card, raw={**prediction.card.raw, "maps": maps})
        found = {entry["name"]: entry for entry in run_report(replace(prediction, card=card), [], None, [])["attention"]}
        assert (found[measured]["measured"]["roc_auc"], found[measured]["measured"]["cases"]) == (0.9, 5)
        assert "in 90 % of pairs" in found[measured]["measured"]["text"]
        assert "measured" not in found[other]

    @pytest.mark.parametrize(("how", "known"), [({}, True), ({"explain_method": "seg-grad-cam"}, False), ({"explain_layer": "bottleneck"}, False)])
    def test_says_how_a_label_was_explained_and_what_was_measured_of_just_that(self, prediction, how, known):
        maps = [{"map": "why", "roc_auc": 0.9, "data": "scans", "cases": 5, "command": "attentionseg evaluate --maps"}]
        card = replace(prediction.card, raw={**prediction.card.raw, "maps": maps})
        explained = {**prediction.attention, "why Hippocampus anterior": prediction.attention["gate_2"]}
        options = replace(prediction.options, explain=("Hippocampus anterior",), **how)
        gate, _gate, why = run_report(replace(prediction, card=card, attention=explained, options=options), [], None, [])["attention"]
        assert (why["method"], why["layer"]) == (options.explain_method, options.explain_layer)
        assert ("measured" in why) == known
        assert "method" not in gate

    def test_keeps_tiny_attention_apart_from_zero(self, prediction):
        tiny = Image(np.full((1, 4, 4, 4), 3e-9, np.float32), np.eye(4))
        (entry,) = run_report(replace(prediction, attention={"position": tiny}), [], None, [])["attention"]
        assert entry["range"] == pytest.approx([3e-9, 3e-9])

    def test_gives_the_region(self, prediction):
        region = run_report(prediction, [], Region((25, -20, -15), (40, 56, 40)), [])["region"]
        assert (region["center_ras_mm"], region["size_mm"]) == ([25, -20, -15], [40, 56, 40])
        assert run_report(prediction, [], None, [])["region"] is None

    def test_is_dated_in_utc(self, prediction):
        date = datetime.fromisoformat(run_report(prediction, [], None, [])["date"])
        assert date.utcoffset() == timedelta(0)
        assert abs(datetime.now(timezone.utc) - date) < timedelta(minutes=1)


class TestWriteReport:
    def test_reads_back_as_it_was(self, prediction, tmp_path):
        report = run_report(prediction, ["Überblick 頭.nii.gz"], Region((0, 0, 0), (1, 2, 3)), [])
        write_report(report, tmp_path / "report.json")
        assert read_strictly(tmp_path / "report.json") == report
        assert "Überblick 頭" in (tmp_path / "report.json").read_text(encoding="utf-8")

    def test_numbers_that_are_not_finite_become_null(self, prediction, tmp_path):
        broken = Image(np.full((1, 2, 2, 2), np.nan, np.float32), np.eye(4))
        write_report(run_report(replace(prediction, attention={"gate": broken}), [], None, []), tmp_path / "report.json")
        assert read_strictly(tmp_path / "report.json")["attention"][0]["range"] == [None, None]

    def test_two_reports_of_one_run_differ_in_the_date_alone(self, prediction, tmp_path):
        texts = []
        for name in ("first.json", "second.json"):
            write_report({**run_report(prediction, ["scan.nrrd"], None, []), "date": ""}, tmp_path / name)
            texts.append((tmp_path / name).read_bytes())
        assert texts[0] == texts[1]

    def test_a_folder_that_is_not_there_is_named_and_nothing_is_left(self, prediction, tmp_path):
        with pytest.raises(OutputError, match="missing"):
            write_report(run_report(prediction, [], None, []), tmp_path / "missing" / "report.json")
        assert list(tmp_path.iterdir()) == []
