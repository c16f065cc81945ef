"""Regions around the labels of another model."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor, find_regions, finding_by_model
from AttentionSegLib.inference.finding_by_model import loaded_finder
from AttentionSegLib.models import Card, Model
from builders import make_card_document
from tiny_models import IntensityNetwork, make_card

REGION_MM = (30.0, 36.0, 30.0)
# RAS mm, and how bright: label 1 of `IntensityNetwork` is 50 to 100, label 2 above.
CENTERS = {"right": (32.0, -8.0, 6.0), "left": (-34.0, -4.0, 2.0)}
BRIGHT = {"right": 75, "left": 150}
LABELS = {"right": "Right thing", "left": "Left thing"}


def labels_of(names):
    return [{**make_card_document()["labels"][n % 2], "value": n + 1, "name": name} for n, name in enumerate(names)]


def finding_card(**changes) -> Card:
    return make_card(id="coarse", spacing_mm=[4.0, 4.0, 4.0], labels=labels_of(LABELS.values()), **changes)


def scan(sides=("right", "left"), spacing=2.0, size_mm=160.0, affine=None) -> Image:
    shape = (int(size_mm / spacing),) * 3
    if affine is None:
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = -size_mm / 2
    voxels = np.random.default_rng(0).normal(20, 2, shape)
    image = Image(voxels[None].astype(np.float32), affine, "scan.nii")
    places = image.to_ras(np.moveaxis(np.indices(shape), 0, -1))
    for side in sides:
        image.voxels[0][np.linalg.norm(places - CENTERS[side], axis=-1) < 11] = BRIGHT[side]
    return image


@pytest.fixture
def installed(monkeypatch):
    """The finding model, and how to put another in its place."""

    def install(card):
        monkeypatch.setattr(finding_by_model, "find_model", lambda model_id: model_id)
        monkeypatch.setattr(finding_by_model, "load_model", lambda folder: Model(card, IntensityNetwork().eval(), folder))

    install(finding_card())
    return install


@pytest.fixture
def engine(installed, tmp_path) -> Predictor:
    return Predictor(Model(fine_card(), IntensityNetwork().eval(), tmp_path), "cpu")


def fine_card(**changes) -> Card:
    found_by = {"kind": "model", "model": "coarse", "labels": LABELS}
    field_of_view = {"kind": "region", "size_mm": list(REGION_MM)}
    return make_card(**{"field_of_view": field_of_view, "spacing_mm": [2.0, 2.0, 2.0], "found_by": found_by, **changes})


class TestFound:
    def test_each_region_lies_around_its_label(self, engine):
        prediction = engine(scan())
        assert list(prediction.regions) == ["right", "left"]
        for side, region in prediction.regions.items():
            assert np.linalg.norm(np.subtract(region.center, CENTERS[side])) < 4
            assert region.size == REGION_MM
        assert prediction.found.how == "the model coarse"
        assert prediction.found.similarity is None

    def test_labels_have_the_sides_of_the_regions(self, engine):
        prediction = engine(scan())
        assert [label.laterality.value for label in prediction.card.labels] == ["24028007"] * 2 + ["7771000"] * 2
        places = prediction.labels.to_ras(np.argwhere(prediction.labels.voxels[0] == 1))
        assert np.linalg.norm(places.mean(0) - CENTERS["right"]) < 2

    def test_in_any_orientation(self, engine):
        affine = np.array([[0, -2.0, 0, 80], [0, 0, 2.0, -80], [-2.0, 0, 0, 80], [0, 0, 0, 1]])
        for side, region in engine(scan(affine=affine)).regions.items():
            assert np.linalg.norm(np.subtract(region.center, CENTERS[side])) < 4

    def test_a_small_spot_of_the_label_elsewhere_is_no_region(self, engine):
        image = scan()
        image.voxels[0, 5:11, 60:66, 60:66] = BRIGHT["right"]
        assert np.linalg.norm(np.subtract(engine(image).regions["right"].center, CENTERS["right"])) < 4

    def test_a_side_that_is_not_there_is_left_out_with_a_note(self, engine):
        prediction = engine(scan(sides=("left",)))
        assert list(prediction.regions) == ["left"]
        assert any("'right' was not found" in note and "Right thing" in note for note in prediction.notes)
        assert set(np.unique(prediction.labels.voxels)) <= {0, 3, 4}

    def test_without_a_predictor(self, engine):
        found = find_regions(engine.model, scan())
        assert set(found.regions) == {"right", "left"}

    def test_the_mirror_image_is_left_out(self, engine, installed):
        installed(make_card(id="coarse", labels=labels_of(LABELS.values()), mirrored=True, training={"mirror_axes": [0], "mirror_swaps": [[1, 2]]}))
        finder = loaded_finder(engine.model.card.found_by, "The regions", ["MR"])
        assert finder.card.raw["mirrored"]
        assert not Predictor(finder, "cpu", "torch").options.mirroring

    def test_a_given_region_rules(self, engine):
        from AttentionSegLib.region import Region

        assert engine(scan(), Region(CENTERS["left"], REGION_MM)).found is None


class TestRefused:
    def test_a_scan_without_any_of_them(self, engine):
        with pytest.raises(InputError, match=r"were not found: coarse sees no Right thing, Left thing in scan\.nii"):
            engine(scan(sides=()))

    def test_a_scan_that_is_cut_through_them(self, engine):
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        affine[:3, 3] = (-80, -80, 8)
        with pytest.raises(InputError, match="is cut through"):
            engine(scan(affine=affine))

    def test_a_scan_in_which_the_labels_lie_otherwise(self, engine, installed):
        known = {"centers_mm": {str(value): [30 * value, 0, 0] for value in range(1, 13)}, "misfit": 0.1}
        installed(make_card(id="coarse", spacing_mm=[4.0, 4.0, 4.0], labels=labels_of([*LABELS.values(), *"abcdefghij"]), arrangement=known))
        with pytest.raises(InputError, match=r"not found by the model coarse: scan\.nii probably shows something else .* 2 of 12 structures"):
            engine(scan())

    @pytest.mark.parametrize(
        ("changes", "phrase"),
        [
            ({"labels": labels_of(["Right thing", "Nothing"])}, "has no label 'Left thing'"),
            ({"field_of_view": {"kind": "region", "size_mm": [50, 50, 50]}}, "needs a region itself"),
            ({"inputs": [{**make_card_document()["inputs"][0], "modality": "PT"}]}, "has other inputs"),
        ],
    )
    def test_a_model_that_cannot_find_them(self, engine, installed, changes, phrase):
        installed(finding_card(**changes) if "labels" not in changes else make_card(id="coarse", **changes))
        with pytest.raises(InputError, match=phrase):
            engine(scan())

    def test_a_model_that_is_not_installed(self, tmp_path):
        engine = Predictor(Model(fine_card(), IntensityNetwork().eval(), tmp_path), "cpu")
        with pytest.raises(InputError, match=r"found by the model coarse, which cannot be used: There is no"):
            engine(scan())


@pytest.mark.parametrize(
    "found_by",
    [
        {"kind": "model", "model": "coarse"},
        {"kind": "model", "model": "../coarse", "labels": LABELS},
        {"kind": "model", "model": "coarse", "labels": {}},
        {"kind": "model", "model": "coarse", "labels": {"right": ""}},
        {"kind": "model", "model": "coarse", "labels": LABELS, "file": "template.nii.gz"},
    ],
)
def test_cards_that_are_not_as_they_must_be(found_by):
    with pytest.raises(InputError, match="found_by"):
        fine_card(found_by=found_by)
