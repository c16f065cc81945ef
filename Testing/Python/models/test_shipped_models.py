"""The models that ship: each can be used as it lies there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.files import read_image
from AttentionSegLib.models import Card, find_model, load_model
from AttentionSegLib.models.found_by import Template, checked_template
from AttentionSegLib.models.measured_maps import measured_maps
from PIL import Image as Picture

REPOSITORY = Path(__file__).resolve().parents[3]
SHIPPED = REPOSITORY / "Resources" / "Models"
FOLDERS = sorted(path for path in SHIPPED.iterdir() if path.is_dir())
BRAIN = "brain-mr-attention-unet"
HIPPOCAMPUS = ("hippocampus-mr-attention-unet", "hippocampus-mr-guided-attention")
CARD, WEIGHTS, THUMBNAIL = "model.json", "weights.safetensors", "thumbnail.png"


@pytest.fixture(params=FOLDERS, ids=[folder.name for folder in FOLDERS])
def folder(request) -> Path:
    return request.param


def test_it_loads_with_a_valid_card_and_the_right_check_sum(folder):
    model = load_model(folder)
    assert model.card.weights_bytes == (folder / WEIGHTS).stat().st_size
    assert all(value.isfinite().all() for value in model.network.state_dict().values())


def test_its_folder_has_its_id_and_nothing_but_the_parts_of_a_model(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("ATTENTIONSEG_MODELS", raising=False)
    assert Card.load(folder / CARD).id == folder.name
    assert find_model(folder.name) == folder
    template = Card.load(folder / CARD).found_by
    brought = [] if not isinstance(template, Template) else [template.file, "NOTICE.txt"]
    assert sorted(path.name for path in folder.iterdir()) == sorted([CARD, THUMBNAIL, WEIGHTS, *brought])


@pytest.mark.parametrize(("model", "more"), [*((model, {"why"}) for model in HIPPOCAMPUS), (BRAIN, set())])
def test_all_maps_are_measured(model, more):
    loaded = load_model(SHIPPED / model)
    assert set(measured_maps(loaded.card.raw)) == {*loaded.network.attention_strides, *more}


@pytest.mark.parametrize("model", HIPPOCAMPUS)
def test_the_hippocampi_of_a_head_are_found_by_a_small_template_with_its_license(model):
    template = Card.load(SHIPPED / model / CARD).found_by
    assert [region.name for region in template.regions] == ["right", "left"]
    image = read_image(checked_template(SHIPPED / model, template))
    assert image.voxels.dtype == np.uint8
    assert image.spacing.tolist() == [2, 2, 2]
    assert (SHIPPED / model / template.file).stat().st_size == template.bytes < 1_000_000
    notice = (SHIPPED / model / "NOTICE.txt").read_text(encoding="utf-8")
    assert template.file in notice
    assert template.license.partition(": ")[2] in " ".join(notice.split())


def test_the_template_is_made_by_its_script(tmp_path):
    pytest.importorskip("nilearn", reason="nilearn, which carries the MNI152 head, is not installed")
    from mni152 import write_template

    write_template(tmp_path / "made.nii.gz")
    made, shipped = read_image(tmp_path / "made.nii.gz"), read_image(SHIPPED / "hippocampus-mr-attention-unet" / "mni152_t1_2mm.nii.gz")
    np.testing.assert_array_equal(made.affine, shipped.affine)
    # Releases of nilearn may differ in the last digit.
    assert np.abs(made.voxels.astype(int) - shipped.voxels).max() <= 1


def test_its_picture_is_in_the_colors_of_its_labels(folder):
    with Picture.open(folder / THUMBNAIL) as picture:
        assert (picture.mode, picture.size, picture.info) == ("RGBA", (128, 128), {})
        found = np.asarray(picture)[..., :3][np.asarray(picture)[..., 3] == 255].astype(float)
    # Both sides of a pair may have one color.
    colors = np.array(sorted({label.color for label in Card.load(folder / CARD).labels}), float)
    hues, wanted = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in (found, colors))
    shares = np.bincount((hues @ wanted.T).argmax(axis=1), minlength=len(colors)) / len(hues)
    # From outside, cortex and cerebellum hide most of a brain.
    assert (shares > 0.02).sum() >= min(3, len(colors)) if len(colors) > 5 else (shares > 0.02).all()
    assert np.mean((hues @ wanted.T).max(axis=1) > 0.99) > 0.95


def test_it_predicts_a_patch(folder):
    model = load_model(folder)
    patch = torch.randn(1, len(model.card.inputs), *model.card.patch_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        output = model.network(patch, return_attention=True)
    assert output.logits.shape == (1, len(model.card.labels) + 1, *model.card.patch_size)
    assert output.logits.isfinite().all()
    assert output.attention


def test_its_card_tells_a_user_what_counts(folder):
    card = Card.load(folder / CARD)
    assert "not a medical device" in card.intended_use.lower()
    assert card.raw["accuracy"]
    assert all(len(limit) > 20 for limit in card.limits)
    assert all(data["citation"] and data["license"] for data in card.raw["training_data"])


def test_all_together_stay_small_enough_for_the_extension_index():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 40_000_000


@pytest.mark.parametrize(
    ("package", "models"),
    [
        ("AttentionSeg/AttentionSegLib", "Resources/Models"),
        ("lib/qt-scripted-modules/AttentionSegLib", "lib/qt-scripted-modules/Resources/Models"),
        ("site-packages/AttentionSegLib", "site-packages/AttentionSegLib/shipped"),
    ],
    ids=["clone", "extension", "wheel"],
)
def test_they_are_found_wherever_they_were_installed(package, models, tmp_path):
    shutil.copytree(REPOSITORY / "AttentionSeg" / "AttentionSegLib", tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in FOLDERS:
        shutil.copytree(folder, tmp_path / models / folder.name)
    program = "from AttentionSegLib.models import list_models; print(*(f'{m.id} {m.folder}' for m in list_models()), sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": str((tmp_path / package).parent), "XDG_DATA_HOME": str(tmp_path), "ATTENTIONSEG_MODELS": ""}
    printed = subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert printed.split("\n")[:-1] == [f"{folder.name} {tmp_path / models / folder.name}" for folder in FOLDERS]
