"""Runs of the engine: what a card and its caller ask for holds, and a run that ends early leaves no trace."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from AttentionSegLib.errors import Cancelled, InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import load_model
from AttentionSegLib.networks import NetworkOutput
from AttentionSegLib.region import Region
from placed_scans import CENTER, ramp_image
from tiny_models import UNET, intensity_model, make_card, random_model, save_unet
from torch import Tensor, nn


def spoil(_network: nn.Module, _inputs: tuple[Tensor, ...], output: NetworkOutput | Tensor) -> None:
    logits = output if isinstance(output, Tensor) else output.logits
    logits[0, 0, 0, 0, 0] = float("nan")


def test_an_overlap_is_that_of_a_card_that_says_so(noise):
    fine = {"patch_size": [16, 16, 16], "spacing_mm": [0.5, 0.5, 0.5]}
    model = random_model(UNET, **fine, overlap=0)
    plain, half = Predictor(model, "cpu")(noise), Predictor(model, "cpu", overlap=0.5)(noise)
    said = Predictor(replace(model, card=make_card(network=UNET, **fine, overlap=0.5)), "cpu")(noise)
    np.testing.assert_array_equal(half.uncertainty.voxels, said.uncertainty.voxels)
    assert np.abs(plain.uncertainty.voxels - half.uncertainty.voxels).max() > 1e-3
    assert (plain.options.overlap, half.options.overlap, model.card.overlap) == (0, 0.5, 0)


class TestRuns:
    def test_a_model_is_read_once_and_gives_the_same_every_time(self, tmp_path, noise):
        folder = save_unet(tmp_path / "unet")
        predictor = Predictor(load_model(folder), "cpu")
        shutil.rmtree(folder)
        first = predictor(noise)
        predictor(ramp_image(side=20), Region(tuple(CENTER), (5, 5, 5)))
        again = predictor(noise)
        for name in ("labels", "uncertainty"):
            np.testing.assert_array_equal(getattr(again, name).voxels, getattr(first, name).voxels)
        for name, attention in first.attention.items():
            np.testing.assert_array_equal(again.attention[name].voxels, attention.voxels)

    def test_a_model_can_be_given_as_a_folder_or_as_an_id(self, tmp_path, monkeypatch, noise):
        folder = save_unet(tmp_path / "unet", id="tiny-unet")
        monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))
        by_folder, by_id = (Predictor(model, "cpu")(noise, attention=False) for model in (folder, "tiny-unet"))
        np.testing.assert_array_equal(by_folder.uncertainty.voxels, by_id.uncertainty.voxels)

    def test_progress_goes_from_start_to_end(self, predictor):
        told = []
        found = predictor(ramp_image(), on_progress=lambda *step: told.append(step))
        fractions, stages, left = zip(*told)
        assert (fractions[0], fractions[-1]) == (0, 1)
        assert list(fractions) == sorted(fractions)
        assert len(set(fractions)) > 10
        assert list(dict.fromkeys(stages)) == ["prepare", "network", "restore", "finish", "done"]
        assert all(seconds is None or seconds >= 0 for seconds in left)
        assert left[-1] == 0
        assert list(found.seconds) == ["prepare", "network", "restore", "finish"]

    def test_cancel_at_any_moment_ends_the_run_and_the_next_one_is_as_ever(self, predictor, noise):
        calls = []
        whole = predictor(noise, cancel=lambda: bool(calls.append(0)))
        stages = []
        for moment in range(len(calls)):
            countdown = iter([False] * moment + [True])
            with pytest.raises(Cancelled) as caught:
                predictor(noise, cancel=lambda countdown=countdown: next(countdown))
            stages.append(str(caught.value))
        assert list(dict.fromkeys(stages)) == [f"Cancelled during '{stage}'." for stage in ("prepare", "network", "restore", "finish")]
        np.testing.assert_array_equal(predictor(noise).uncertainty.voxels, whole.uncertainty.voxels)

    @pytest.mark.parametrize("attention", [True, False])
    def test_a_network_that_gives_no_numbers_is_not_taken_for_an_empty_scan(self, noise, attention):
        model = intensity_model()
        model.network.register_forward_hook(spoil)
        with pytest.raises(InputError, match=r"^The model hippocampus-t1 gave NaN or infinite numbers for scan on cpu; .*\.$"):
            Predictor(model, "cpu")(noise, attention=attention)

    def test_stray_parts_go_as_the_card_says(self):
        voxels = np.zeros((1, 20, 18, 16))
        voxels[0, 3:9, 3:9, 3:9] = voxels[0, 14:16, 12:14, 10:12] = 75
        voxels[0, 5, 5, 5] = 0
        image = Image(voxels, np.eye(4))
        kept = Predictor(intensity_model(postprocessing={"largest_component": [1], "fill_holes": [1]}), "cpu")(image).labels.voxels[0]
        assert (kept[3:9, 3:9, 3:9] == 1).all()
        assert kept.sum() == 216

    def test_sides_are_separated_as_the_card_says(self):
        voxels = np.zeros((1, 20, 18, 16))
        voxels[0, 2:8, 3:15, 3:13], voxels[0, 12:18, 3:15, 3:13], voxels[0, 3:5, 5:9, 5:8] = 75, 120, 120
        separated = Predictor(intensity_model(postprocessing={"separate_sides": True}, training={"mirror_swaps": [[1, 2]]}), "cpu")
        found = separated(Image(voxels, np.eye(4)))
        assert (found.labels.voxels[0, 2:8, 3:15, 3:13] == 1).all()
        assert (found.labels.voxels[0, 12:18, 3:15, 3:13] == 2).all()
        # Along the body instead of across it.
        lengthwise = separated(Image(voxels, np.eye(4)[[1, 0, 2, 3]]))
        assert (lengthwise.labels.voxels[0, 3:5, 5:9, 5:8] == 2).all()
        assert any("No plane" in note for note in lengthwise.notes)
