"""The call behind `attentionseg train`: what it tells, restarts and goes on with, and which voxels count."""

from __future__ import annotations

import re

import numpy as np
import pytest
from AttentionSegLib.datasets.case_set import folder_cases
from AttentionSegLib.errors import Cancelled, InputError
from AttentionSegLib.models import load_model
from tiny_training import HOURS, make_document, write_case, write_recipe

pytest.importorskip("lightning")

from AttentionSegLib.training import train_model
from AttentionSegLib.training.report import read_log

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("blank_pictures", "short_plans")]


class TestCall:
    def test_it_says_what_it_does_from_the_first_to_the_last(self, folder):
        told = []
        cases = folder_cases(folder / "images", folder / "labels", folder / "split.csv")
        options = {"device": "cpu", "hours": float(HOURS), "title": "Boxes", "license": "CC0-1.0"}
        done = train_model(cases, "attention-unet", folder / "boxes", **options, on_progress=lambda *step: told.append(step))
        stages = list(dict.fromkeys(re.sub(r", Dice.*", "", stage) for _fraction, stage, _left in told))
        epochs = [stage for stage in stages if stage.startswith("epoch")]
        assert [stage for stage in stages if stage not in epochs] == [
            "loading packages",
            *(f"looking at case {number} of 3" for number in (1, 2, 3)),
            "planning",
            "preparing case 1 of 2",
            "preparing case 2 of 2",
            "preparing case 1 of 1",
            "starting the training",
            "measuring",
            "measuring case 1 of 1",
            "writing model and report",
            "done",
        ]
        assert epochs[0].startswith("epoch 1 of")
        assert [fraction for fraction, _stage, _left in told] == sorted(fraction for fraction, _stage, _left in told)
        card = load_model(done.folder).card
        assert (card.title, card.raw["weights"]["license"]) == ("Boxes", "CC0-1.0")

    def test_a_restart_leaves_nothing_of_what_was_there(self, folder):
        cases = folder_cases(folder / "images", folder / "labels", folder / "split.csv", {1: "Bright", 2: "Dark"})
        options = {"device": "cpu", "hours": float(HOURS)}
        train_model(cases, "attention-unet", folder / "boxes", **options, title="First")
        with pytest.raises(InputError, match=r"--title Second \(there: First\)"):
            train_model(cases, "attention-unet", folder / "again", work=folder / "boxes-training", **options, title="Second")
        done = train_model(cases, "attention-unet", folder / "again", work=folder / "boxes-training", **options, title="Second", restart=True)
        assert load_model(done.folder).card.title == "Second"
        # Of the restart alone.
        assert [path.name for path in (folder / "boxes-training" / "log").iterdir()] == ["version_0"]

    def test_a_cancelled_training_goes_on_and_tells_how_far_it_is(self, folder):
        cases, recipe = folder_cases(folder / "images", folder / "labels", folder / "split.csv"), write_recipe(folder, make_document(epochs=4))
        told: list[float] = []
        call = {"plan": recipe, "device": "cpu", "on_progress": lambda fraction, _stage, _left: told.append(fraction)}
        with pytest.raises(Cancelled):
            train_model(cases, None, folder / "boxes", **call, cancel=lambda: told and told[-1] > 0.5)
        assert not (folder / "boxes").exists()
        half = len(told)
        done = train_model(cases, None, folder / "boxes", **call)
        assert (done.folder / "model.json").is_file()
        assert done.report.is_file()
        assert told[:half] == sorted(told[:half])
        assert min(fraction for fraction in told[half:] if fraction > 0.05) >= 0.4
        assert told[-1] == 1
        assert sorted(read_log(folder / "boxes-training")) == [1, 2, 3, 4]

    def test_voxels_that_nobody_has_judged_count_neither_in_training_nor_in_its_dice(self, folder):
        for name in ("case_1", "case_2", "case_3"):
            image, labels = np.zeros((18, 17, 16), np.float32), np.zeros((18, 17, 16), np.uint8)
            # In the judged half, dark is background; in the other half the same gray would be wrong.
            image[:9] = np.random.default_rng(0).normal(0, 1, (9, 17, 16))
            image[2:7, 4:12, 4:12] += 100
            labels[2:7, 4:12, 4:12] = 1
            image[11:16, 4:12, 4:12] += 100
            labels[9:] = 9
            write_case(folder, name, image, labels)
        one = [{**make_document()["card"]["labels"][0], "value": 1}]
        card = {"labels": one, "postprocessing": {"largest_component": [], "fill_holes": []}}
        recipe = write_recipe(folder, make_document(card, epochs=25, ignored_label=9))
        cases = folder_cases(folder / "images", folder / "labels", folder / "split.csv")
        done = train_model(cases, None, folder / "boxes", plan=recipe, device="cpu")
        assert done.scores.summary()["mean"]["dice"]["mean"] > 0.8
