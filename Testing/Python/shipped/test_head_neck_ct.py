"""What the shipped models of the head and neck promise, on a labelled scan that they have not learned from."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.datasets.cases import Case, find_cases, read_labelled
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import find_model
from AttentionSegLib.reporting import measure

SHIPPED = Path(__file__).resolve().parents[3] / "Resources" / "Models"
MODELS = sorted(folder.name for folder in SHIPPED.glob("head-neck-ct-*"))


def shortest(folder: Path) -> Case:
    """The validation scan with the fewest slices that shows all organs whole enough to count."""
    slices = {}
    with (folder / "dataset.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            if min(int(value) for name, value in row.items() if name.startswith("label")) > 200:
                slices[row["id"]] = int(row["shape"].split("x")[2])
    cases = find_cases(folder / "images", folder / "labels", folder / "split.csv")["val"]
    return min((case for case in cases if case.id in slices), key=lambda case: slices[case.id])


@pytest.fixture(scope="module", params=MODELS)
def predicted(request, data_folder) -> tuple:
    image, reference, _ = read_labelled(shortest(data_folder / "hn_ct_oar"))
    return Predictor(find_model(request.param), "cpu")(image, attention=False), reference


def test_no_organ_is_missing_and_each_is_where_the_clinic_drew_it(predicted):
    prediction, reference = predicted
    found, drawn = prediction.labels.voxels[0], reference.voxels[0]
    dice = [2 * ((found == value) & (drawn == value)).sum() / ((found == value).sum() + (drawn == value).sum()) for value in range(1, 6)]
    assert min(dice) > 0.3
    assert np.mean(dice) > 0.6


def test_right_and_left_are_those_of_the_patient(predicted):
    centers = {one.name: one.center for one in measure(predicted[0])}
    assert centers["Right parotid gland"][0] > centers["Spinal cord"][0] > centers["Left parotid gland"][0]


def test_air_alone_has_no_organs(predicted):
    card = predicted[0].card
    noise = np.random.default_rng(0).normal(-1000, 5, (1, 64, 64, 48)).astype(np.float32)
    air = Image(noise, np.diag([*card.spacing, 1.0]), "air")
    assert not Predictor(find_model(card.id), "cpu")(air, attention=False).labels.voxels.any()
