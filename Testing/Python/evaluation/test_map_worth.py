"""What maps are worth: a gate and a position attention that are known to matter score high, those that are ignored score zero."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import planted_network
import pytest
from AttentionSegLib.cli import main
from AttentionSegLib.datasets import LabelReading
from AttentionSegLib.errors import InputError
from AttentionSegLib.evaluation import Evaluation, evaluate
from AttentionSegLib.evaluation.card_entries import map_entries
from AttentionSegLib.evaluation.map_measures import MAP_MEASURES
from AttentionSegLib.evaluation.map_scores import MapScores
from AttentionSegLib.models import Model, catalogue, load_model
from AttentionSegLib.network_names import NETWORKS
from heads import entries
from labelled_scans import write_cases
from planted_network import HEEDED, IGNORED, IGNORED_VOXELS, NAME, planted_model, write_planted_case
from tiny_models import UNET, make_card, random_network, save_unet

pytestmark = pytest.mark.usefixtures("blank_pictures")

LABEL = "Hippocampus anterior"


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Evaluation:
    folder = tmp_path_factory.mktemp("planted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, NAME, f"{planted_network.__name__}:PlantedNetwork")
        return evaluate(
            planted_model(), *write_planted_case(folder), folder / "results", device="cpu", maps=True, reading=LabelReading(ignored_label=255)
        )


class TestPlanted:
    @pytest.fixture
    def found(self, planted) -> dict[str, dict[str, float]]:
        """By map and measure, of the trained weights."""
        return {name: {key: one["trained"]["mean"] for key, one in by.items()} for name, by in planted.maps.summary()[LABEL].items()}

    def test_the_model_segments_the_case(self, planted):
        assert planted.scores.summary()[LABEL]["dice"]["mean"] == 1

    def test_a_gate_that_matters_loses_all_dice_and_an_ignored_one_none(self, found):
        assert [found["gate_1"][key] for key in ("dice_lost_mean", "dice_lost_inverted")] == [1, 1]
        assert [found["gate_2"][key] for key in ("dice_lost_mean", "dice_lost_inverted")] == [0, 0]

    def test_position_attention_that_matters_loses_probability_and_an_ignored_one_none(self, found):
        assert found[HEEDED[1]]["probability_lost"] > 0.9
        assert found[IGNORED[1]]["probability_lost"] == pytest.approx(0, abs=1e-6)

    def test_both_gates_show_the_label(self, found):
        assert all(found[name]["auc"] == 1 and found[name]["pointing"] == 1 for name in ("gate_1", "gate_2"))
        assert found["gate_1"]["share_inside"] > 0.99

    def test_references_show_what_tells_nothing(self, found):
        share = 6**3 / (16**3 - IGNORED_VOXELS)
        assert found["constant"] == pytest.approx({"auc": 0.5, "share_inside": share, "pointing": share})
        assert 0.5 < found["center"]["auc"] < 1

    def test_random_weights_show_nothing_so_the_map_is_not_marked(self, planted):
        auc = planted.maps.summary()[LABEL]["gate_1"]["auc"]
        assert auc["random"]["mean"] == 0.5
        assert auc["not_above_random"] is False
        assert planted.maps.summary()[LABEL]["gate_2"]["dice_lost_mean"]["not_above_random"] is True

    def test_files(self, planted):
        folder = planted.files[0].parent
        assert json.loads((folder / "maps.json").read_text()) == planted.maps.summary()
        with (folder / "maps.csv").open(newline="") as stream:
            rows = {(row["case"], row["map"], row["weights"], row["measure"]): float(row["value"]) for row in csv.DictReader(stream)}
        assert rows["case", "gate_1", "trained", "auc"] == 1
        assert rows["case", "gate_1", "random", "auc"] == 0.5
        assert rows["case", "constant", "", "auc"] == 0.5
        page = (folder / "report.html").read_text(encoding="utf-8")
        assert "Attention gate, level 1" in page
        assert 'class="doubted"' in page


class TestMark:
    def of(self, trained: list[float], random: list[float]) -> bool:
        values = np.full((2, len(trained), 1, 1, 6), np.nan)
        values[:, :, 0, 0, 0] = trained, random
        return MapScores(("a",), tuple("123"), ("gate_2",), values).summary()["a"]["gate_2"]["auc"]["not_above_random"]

    def test_of_a_map_that_is_better_in_all_cases(self):
        assert self.of([0.9, 0.8, 0.9], [0.5, 0.6, 0.4]) is False

    def test_of_a_map_that_is_as_good_with_random_weights(self):
        assert self.of([0.9, 0.8, 0.9], [0.8, 0.9, 0.9]) is True


class TestRefused:
    def refused(self, model: Path | Model, folder: Path, **options: object) -> str:
        with pytest.raises(InputError) as refusal:
            evaluate(model, *write_cases(folder / "scans", "b"), folder / "results", device="cpu", **{"maps": True, **options})
        assert not (folder / "results").exists()
        return str(refusal.value)

    def test_of_a_network_without_maps(self, tmp_path):
        network = {**UNET, "arguments": {**UNET["arguments"], "gate": "none"}}
        model = Model(make_card(network=network), random_network(network), tmp_path)
        assert "has no attention maps" in self.refused(model, tmp_path)

    def test_of_openvino(self, tmp_path):
        assert "back end openvino" in self.refused(save_unet(tmp_path / "model"), tmp_path, backend="openvino")

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"without_explanations": True, "explain_layer": "bottleneck"}, "No label is explained"),
            ({"maps": False, "explain_method": "seg-grad-cam"}, "No label is explained"),
            ({"update_card": "Our scans", "explain_method": "seg-grad-cam"}, "The card holds figures of explanations as every run makes them"),
        ],
    )
    def test_of_explanations_that_are_not_made_or_not_those_of_the_card(self, tmp_path, options, sentence):
        assert sentence in self.refused(save_unet(tmp_path / "model"), tmp_path, **options)

    def test_of_a_scan_in_which_regions_would_be_searched(self, tmp_path):
        model = Model(make_card(**entries(tmp_path, field_of_view={"kind": "region", "size_mm": [6, 6, 6]})), random_network(UNET), tmp_path)
        assert "larger than a region" in self.refused(model, tmp_path)


class TestCard:
    def evaluated(self, folder: Path, model: Path) -> Evaluation:
        return evaluate(model, *write_cases(folder / "scans", "b"), folder / "results", device="cpu", maps=True, update_card="Our scans")

    def test_of_ones_own_model_gets_the_figures_in_place_of_earlier_ones(self, tmp_path):
        figures = {"data": "Our scans", "command": "attentionseg evaluate"}
        maps = [{"map": name, "roc_auc": 0.5, "cases": 9, **figures} for name in ("gate_2", "gate_9")]
        accuracy = [{"metric": "Dice", "value": 0.5, **figures}, {"metric": "Dice", "value": 0.7, **figures, "data": "Other scans"}]
        model = save_unet(tmp_path / "model", maps=maps, accuracy=accuracy)
        done = self.evaluated(tmp_path, model)
        card = load_model(model).card.raw
        assert [(entry["data"], entry.get("label")) for entry in card["accuracy"]] == [
            ("Other scans", None),
            *(("Our scans", label) for label in (*done.scores.labels, "mean of the labels")),
        ]
        assert [entry["map"] for entry in card["maps"]] == ["gate_9", "gate_2", "gate_3", "why"]
        found = done.maps.summary()["mean"]["gate_2"]
        assert card["maps"][1] == {
            "map": "gate_2",
            "roc_auc": round(found["auc"]["trained"]["mean"], 3),
            "roc_auc_random": round(found["auc"]["random"]["mean"], 3),
            "dice_lost": round(found["dice_lost_mean"]["trained"]["mean"], 3),
            "data": "Our scans",
            "cases": 1,
            "command": "AttentionSegLib.evaluation.evaluate",
        }

    def test_of_a_shipped_model_stays_as_it_is(self, tmp_path, monkeypatch):
        monkeypatch.setattr(catalogue, "PACKAGE", tmp_path)
        with pytest.raises(InputError, match="ships with AttentionSeg"):
            self.evaluated(tmp_path, save_unet(tmp_path / "shipped" / "model"))
        assert not (tmp_path / "results").exists()


def test_command(tmp_path, capsys):
    model, (images, labels) = save_unet(tmp_path / "model"), write_cases(tmp_path / "scans", "b")
    arguments = ["--model", model, "--images", images, "--labels", labels, "--output", tmp_path / "results", "--device", "cpu", "--maps"]
    assert main(["evaluate", *map(str, arguments), "--update-card", "Our scans"]) == 0
    out = capsys.readouterr().out
    assert "Dice lost, gate inverted" in out
    assert out.splitlines()[-2:] == [str(tmp_path / "results" / name) for name in ("maps.csv", "maps.json")]
    with (tmp_path / "results" / "maps.csv").open(newline="") as stream:
        assert {row["map"] for row in csv.DictReader(stream)} == {"gate_2", "gate_3", "why", "constant", "center"}
    assert "Why the label is there (hirescam, decoder_3)" in (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    command = f"attentionseg evaluate --images {images.name} --labels {labels.name} --maps --model model"
    assert {entry["command"] for entry in load_model(model).card.raw["maps"]} == {command}


def test_explanations_can_be_left_out(tmp_path, capsys):
    model, (images, labels) = save_unet(tmp_path / "model"), write_cases(tmp_path / "scans", "b")
    arguments = [
        "evaluate",
        *map(str, ("--model", model, "--images", images, "--labels", labels, "--output", tmp_path / "results", "--device", "cpu")),
    ]
    assert main([*arguments, "--without-explanations"]) == 2
    assert "Without the maps no explanation is measured; ask for the maps too" in capsys.readouterr().err
    assert main([*arguments, "--maps", "--without-explanations"]) == 0
    with (tmp_path / "results" / "maps.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["map"] for row in rows} == {"gate_2", "gate_3", "constant", "center"}
    assert {row["weights"] for row in rows if row["measure"] == "dice_lost_mean" and row["value"]} == {"trained", "random"}


def test_a_figure_that_rounds_to_nothing_has_no_sign():
    values = np.full((2, 1, 1, 1, len(MAP_MEASURES)), 0.5)
    values[..., [measure.key for measure in MAP_MEASURES].index("dice_lost_mean")] = -0.0002
    (entry,) = map_entries(MapScores(("a label",), ("a case",), ("gate_2",), values), "Our scans", "a command")
    assert str(entry["dice_lost"]) == "0.0"
