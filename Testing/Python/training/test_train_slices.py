"""`attentionseg train --slices`: a 2D network from volumes, planned, trained, measured, and run on volumes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.files import read_image
from AttentionSegLib.models import load_model
from AttentionSegLib.planning import schedule
from tiny_training import ROLES, write_cases

pytest.importorskip("lightning")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("blank_pictures")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A model of coronal slices, each between two neighbors."""
    folder = tmp_path_factory.mktemp("slices")
    split = write_cases(folder)
    data = [f"--images={folder / 'images'}", f"--labels={folder / 'labels'}", f"--split={split}"]
    wanted = ["--network=attention-unet", "--slices=coronal", "--context=1", "--hours=0.1", "--device=cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "MOST_STEPS", 6)
        assert attentionseg(["train", *data, *wanted, f"--output={folder / 'model'}"]) == 0
    return folder


def test_the_card_says_which_slices_it_knows(trained):
    model = load_model(trained / "model")
    assert (model.card.slices, model.card.context, model.card.patch_size[1]) == ("coronal", 1, 1)
    assert model.network.encoder[0][0].in_channels == 3
    assert "--context 1 " in model.card.raw["training"]["command"]
    assert model.card.raw["accuracy"][0]["cases"] == list(ROLES.values()).count("val")


def test_it_segments_volumes(trained, tmp_path):
    scan = trained / "images" / "case_3.nii.gz"
    assert attentionseg(["segment", str(scan), f"--model={trained / 'model'}", f"--output={tmp_path}", "--device=cpu", "--format=nii"]) == 0
    (maps,) = tmp_path.rglob("*gate*.nii.gz") if len(list(tmp_path.rglob("*gate*.nii.gz"))) == 1 else [next(tmp_path.rglob("*gate*.nii.gz"))]
    assert read_image(maps).shape[1] == read_image(scan).shape[1]
    np.testing.assert_allclose(read_image(maps).spacing[1], 1)


def test_a_plan_for_other_slices_is_not_followed(trained, capsys):
    data = [f"--images={trained / 'images'}", f"--labels={trained / 'labels'}", f"--split={trained / 'split.csv'}"]
    assert (
        attentionseg(
            ["train", *data, "--network=attention-unet", "--slices=axial", f"--output={trained / 'other'}", f"--work={trained / 'model-training'}"]
        )
        == 2
    )
    assert "--slices axial (there: coronal)" in capsys.readouterr().err
