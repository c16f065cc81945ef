"""Regions are found where they are, and nowhere else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import heads
import numpy as np
import pytest
from AttentionSegLib.errors import Cancelled, InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import FoundRegions, find_regions
from AttentionSegLib.models import Model, list_models
from poses import Storage
from scipy.ndimage import gaussian_filter
from tiny_models import intensity_model

SENTENCE = r"^[^\n.][^\n]+[;,] [^\n]+\.$"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    return heads.intensity_finder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def head() -> tuple[Image, dict[str, np.ndarray]]:
    return heads.head((8, -5, 6))


@pytest.fixture(scope="module")
def found(model, head) -> FoundRegions:
    return find_regions(model, head[0])


def apart(found: FoundRegions, centers: dict[str, np.ndarray]) -> float:
    return max(float(np.linalg.norm(found.regions[name].center - center)) for name, center in centers.items())


def part(image: Image, low: tuple[float, float, float], high: tuple[float, float, float]) -> Image:
    """What of an image lies in a box, RAS mm."""
    ends = np.sort(np.rint(image.to_ijk(np.array([low, high]))).astype(int), axis=0)
    first, last = np.clip(ends[0], 0, None), np.minimum(ends[1], image.shape)
    affine = image.affine.copy()
    affine[:3, 3] = image.to_ras(first)
    return Image(image.voxels[(slice(None), *(slice(a, b) for a, b in zip(first, last)))], affine, image.name)


def refused(model: Model, image: Image) -> str:
    with pytest.raises(InputError, match=SENTENCE) as caught:
        find_regions(model, image)
    return str(caught.value)


class TestWhere:
    def test_each_region_is_a_box_of_the_cards_size_around_its_structure(self, found, head, model):
        assert list(found.regions) == ["right", "left"]
        assert apart(found, head[1]) < 1.5
        for region in found.regions.values():
            assert region.size == model.card.region_size
            assert (region.axes == np.eye(3)).all()

    def test_it_is_said_how(self, found):
        assert found.how == "registration of a head of formulas"
        assert 0.9 < found.similarity <= 1
        assert found.notes == ()

    @pytest.mark.parametrize("degrees", [(30, 0, 0), (0, -30, 0), (0, 0, 30)])
    def test_in_a_turned_head(self, model, degrees):
        image, centers = heads.head(degrees, size=0.85, offset=(-10, 12, -8))
        assert apart(find_regions(model, image), centers) < 2

    def test_however_the_scan_is_stored(self, model, head, found):
        stored = Storage((1, 2, 0), (True, False, True)).store(head[0])
        integers = Image(np.round(100 * stored.voxels).astype(np.int32), stored.affine)
        assert apart(find_regions(model, integers), {name: np.array(region.center) for name, region in found.regions.items()}) < 0.7

    def test_the_same_at_every_run(self, model, head, found):
        again = find_regions(model, head[0])
        assert [region.center for region in again.regions.values()] == [region.center for region in found.regions.values()]
        assert again.similarity == found.similarity

    def test_in_a_scan_that_ends_early_a_side_is_left_out(self, model, head):
        image, centers = head
        half = part(image, (centers["left"][0] + 2, -300, -300), (300, 300, 300))
        found = find_regions(model, half)
        assert list(found.regions) == ["right"]
        assert np.linalg.norm(found.regions["right"].center - centers["right"]) < 3
        assert len(found.notes) == 1
        assert found.notes[0].startswith("The region 'left' was left out: head holds ")


class TestRefused:
    def test_a_scan_that_shows_neither_side(self, model, head):
        image, centers = head
        text = refused(model, part(image, (-300, -300, centers["right"][2] + 9), (300, 300, 300)))
        assert "shows none of the regions of the model hippocampus-t1 (right, left)" in text

    @pytest.mark.parametrize("kind", ["noise", "clouds", "ball", "inverted", "upside down"])
    def test_what_does_not_look_like_the_template(self, model, head, kind):
        image, _ = head
        draw = np.random.default_rng(3).normal(size=image.voxels.shape)
        index = np.indices(image.shape) - np.array(image.shape)[:, None, None, None] / 2
        voxels = {
            "noise": draw,
            "clouds": gaussian_filter(draw, (0, 4, 4, 4)),
            "ball": ((index**2).sum(0, keepdims=True) < 20**2) + 0.05 * draw,
            "inverted": image.voxels.max() - image.voxels,
            "upside down": image.voxels[..., ::-1],
        }[kind]
        text = refused(model, replace(image, voxels=voxels.astype(np.float32)))
        assert text.startswith("The regions of the model hippocampus-t1 were not found in head, which does not look like a head of formulas (")

    def test_a_scan_of_a_few_slices(self, model, head):
        image, _ = head
        assert "it shows too little" in refused(model, replace(image, voxels=image.voxels[..., 20:23]))

    def test_a_scan_that_cannot_be_used(self, model, head):
        assert "has the same intensity (0) everywhere" in refused(model, replace(head[0], voxels=np.zeros_like(head[0].voxels)))

    def test_a_model_that_finds_nothing(self, head):
        assert "names no method to find its regions" in refused(intensity_model(), head[0])

    def test_a_model_whose_template_is_gone(self, model, head, tmp_path):
        assert "cannot be read" in refused(replace(model, folder=tmp_path), head[0])


class TestWhichModel:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch) -> Path:
        heads.save_finder(tmp_path / "finder", id="finder")
        monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))
        return tmp_path / "finder"

    def test_a_folder_an_id_and_an_entry_mean_the_same(self, folder, head):
        entry = next(entry for entry in list_models() if entry.id == "finder")
        centers = {region.center for model in (folder, "finder", entry) for region in find_regions(model, head[0]).regions.values()}
        assert len(centers) == 2
        shutil.rmtree(folder)


class TestProgress:
    def test_goes_from_nothing_to_all(self, model, head):
        told = []
        find_regions(model, head[0], on_progress=lambda *step: told.append(step))
        fractions = [fraction for fraction, _, _ in told]
        assert fractions == sorted(fractions)
        assert (fractions[0], told[-1]) == (0.0, (1.0, "done", 0.0))
        assert {stage for _, stage, _ in told[:-1]} == {"find"}
        assert len(told) > 10

    @pytest.mark.parametrize("steps", [1, 9, 12])
    def test_it_ends_when_asked_to(self, model, head, steps):
        asked = []

        def cancel() -> bool:
            asked.append(1)
            return len(asked) > steps

        with pytest.raises(Cancelled, match="find"):
            find_regions(model, head[0], cancel=cancel)
        assert len(asked) == steps + 1
