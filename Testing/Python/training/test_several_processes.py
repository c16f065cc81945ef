"""A training that two processes share: one batch, one validation, one result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.datasets.cases import find_cases
from AttentionSegLib.files import read_image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import Model
from AttentionSegLib.networks import build_network
from tiny_training import make_card, make_document, make_volumes, write_case, write_cases, write_recipe, write_split

pytest.importorskip("lightning")
from AttentionSegLib.training.module import dice_of_labels

pytestmark = pytest.mark.slow
# Every weight of the network must get a gradient, or the processes would wait for each other for ever.
NETWORK = {"name": "guided-attention", "arguments": {"spatial_dims": 3, "backbone": 10, "backbone_width": 0.0625, "stem_stride": 2, "width": 4}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    write_cases(folder)
    # The second process has one case fewer to validate on.
    roles = {"case_1": "train", "case_2": "train", **{f"case_{number}": "val" for number in (3, 4, 5)}}
    for number in (4, 5):
        write_case(folder, f"case_{number}", *make_volumes(number))
    write_split(folder, roles)
    write_recipe(folder, make_document({"network": NETWORK}, batch_size=2, steps_per_epoch=4))
    script = Path(__file__).with_name("shared_training.py")
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def test_only_the_first_process_goes_on_after_it(folder):
    assert len(list(folder.glob("trained-*.pt"))) == 1


def test_a_step_is_a_step_of_both(folder):
    assert torch.load(folder / "work" / "last.ckpt", weights_only=True)["global_step"] == 4


def test_the_dice_is_that_of_all_cases(folder):
    (path,) = folder.glob("trained-*.pt")
    trained = torch.load(path, weights_only=True)
    network = build_network(NETWORK["name"], 1, 3, NETWORK["arguments"]).eval()
    network.load_state_dict(trained["network"])
    predictor = Predictor(Model(make_card(network=NETWORK), network, folder), "cpu")
    dice = []
    for case in find_cases(folder / "images", folder / "labels", folder / "split.csv")["val"]:
        found, wanted = predictor(read_image(case.images[0])).labels.voxels[0], read_image(case.label).voxels[0]
        dice.append(dice_of_labels(*(torch.from_numpy(values.astype(np.int64)) for values in (found, wanted)), 2))
    assert torch.stack(dice).std(0).max() > 0
    assert trained["dice"] == pytest.approx(torch.stack(dice).mean().item(), abs=2e-3)
