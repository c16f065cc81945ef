"""What a scan looks like, and in which ways that is not what a model knows."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.image import Image
from AttentionSegLib.inference.fit import ScanFacts, fit_notes, image_fit, look_of, rescaled
from AttentionSegLib.models import Card
from builders import make_card_document

SHAPE = (20, 22, 24)


def ct() -> np.ndarray:
    """Air around soft tissue with some bone, in HU."""
    random = np.random.default_rng(0)
    voxels = np.full(SHAPE, -1000)
    voxels[4:16, 4:18, 4:20] = random.normal(40, 40, (12, 14, 16))
    voxels[6:8, 6:16, 6:18] = random.normal(900, 200, (2, 10, 12))
    return voxels.astype(np.int16)


def mr(bright: float = 700.0) -> np.ndarray:
    """Dark background, and tissues of every brightness."""
    random = np.random.default_rng(0)
    voxels = random.uniform(0, bright / 20, SHAPE)
    voxels[4:16, 4:18, 4:20] = random.uniform(bright / 10, bright * 2, (12, 14, 16))
    return voxels.astype(np.int16)


def card_of(modality: str, **more) -> Card:
    return Card.from_document(make_card_document(inputs=[{**make_card_document()["inputs"][0], "modality": modality}], **more))


def notes_of(card: Card, voxels: np.ndarray, spacing=(1.0, 1.0, 1.0)) -> list[str]:
    return image_fit(card, Image(voxels[None], np.diag([*spacing, 1.0]), "scan"))


@pytest.mark.parametrize(
    ("voxels", "look"),
    [
        (ct(), "HU"),
        (ct() + 1024, "HU + 1024"),
        (np.clip(ct() + 1024, 0, None).astype(np.uint16), "HU + 1024"),
        ((ct() + 1000) / 4000, "0..1"),
        (np.clip((ct() + 160) / 400 * 255, 0, 255).astype(np.uint8), "0..255"),
        (mr(), ""),
        (mr(1500), ""),
        (np.full(SHAPE, np.nan), ""),
    ],
)
def test_what_intensities_look_like(voxels, look):
    assert look_of(voxels) == look


@pytest.mark.parametrize(
    ("voxels", "said"),
    [
        (ct() + 1024, "may be CT stored as HU + 1024"),
        ((ct() + 1000) / 4000, "has intensities of 0..1"),
        (mr(), "has no air below -500 HU"),
    ],
)
def test_a_model_of_ct(voxels, said):
    assert notes_of(card_of("CT"), ct()) == []
    (note,) = notes_of(card_of("CT"), voxels)
    assert said in note


def test_a_model_of_mr():
    assert notes_of(card_of("MR"), ct()) == ["scan looks like CT; the model was trained on MR."]
    assert notes_of(card_of("MR"), ct() + 1024) == ["scan looks like CT stored as HU + 1024; the model was trained on MR."]
    for voxels in (mr(), mr(1500), mr() / 1400, mr(100)):
        assert notes_of(card_of("MR"), voxels) == []


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_label_map(modality):
    (note,) = notes_of(card_of(modality), np.digitize(mr(), (100, 400, 800)).astype(np.uint8))
    assert "only a few different values, as a label map has" in note


def test_what_dicom_says_counts():
    scan = ScanFacts.of("scan", mr(), np.eye(4), "MR")
    assert fit_notes(card_of("CT"), [scan]) == ["scan looks like MR; the model was trained on CT."]
    assert fit_notes(card_of("MR"), [scan, None]) == []


def test_thick_slices():
    assert notes_of(card_of("MR"), mr(), (1, 1, 6)) == ["scan has 6 mm between slices; the model was trained on 1 mm."]


def test_a_model_of_pixels():
    """Such as of PNG files: it takes an image without spacing, or one of 1 mm, as it is."""
    card = card_of("MR", spacing_known=False, field_of_view={"kind": "region", "size_mm": [200, 220, 240]})
    (note,) = notes_of(card, mr(), (0.2, 0.25, 1))
    assert note.startswith(
        "scan has pixels of 0.2 mm; the model was trained on images of unknown pixel size and takes 1 mm for one of their pixels. "
    )
    assert notes_of(card, mr()) == []
    assert image_fit(card, Image(mr()[None], np.diag([0.2, 0.2, 1, 1]), "picture", spacing_known=False)) == []


def test_a_scan_in_another_unit():
    card = card_of("MR", field_of_view={"kind": "region", "size_mm": [20, 22, 24]})
    assert notes_of(card, mr()) == []
    (note,) = notes_of(card, mr(), (0.1, 0.1, 0.1))
    assert notes_of(card_of("MR"), mr(), (0.1, 0.1, 0.1)) == ["scan is only 2 x 2.2 x 2.4 mm large; check the unit of its voxel size."]
    assert note == "scan covers 2 x 2.2 x 2.4 mm; the model was trained on about 20 x 22 x 24 mm. Check the unit of its voxel size."
    assert any("x 1e+04 mm large; check the unit" in said for said in notes_of(card, mr(), (417.0, 417.0, 417.0)))


def test_a_single_slice_is_as_large_as_a_region_in_its_plane():
    flat = {"network": {"name": "attention-unet", "arguments": {"spatial_dims": 2}}, "slices": "axial", "patch_size": [16, 16, 1]}
    card = card_of("MR", field_of_view={"kind": "region", "size_mm": [20, 22, 24]}, **flat)
    assert notes_of(card, mr()[:, :, 12:13]) == []
    assert notes_of(card, mr()[5:15, :, 12:13]) == ["scan covers 10 x 22 mm; the model was trained on about 20 x 22 mm."]
    # The panel compares before a model of volumes refuses a slice.
    assert notes_of(card_of("MR", field_of_view={"kind": "region", "size_mm": [20, 22, 24]}), mr()[:, :, 12:13]) == []


def test_what_dicom_says_of_an_image_counts():
    said = Image(mr()[None], np.eye(4), "scan", modalities=("MR",))
    assert image_fit(card_of("CT"), said) == ["scan looks like MR; the model was trained on CT."]
    assert image_fit(card_of("MR"), said) == []


class TestRescaled:
    @pytest.mark.parametrize("kind", [np.int16, np.uint16, np.float32])
    def test_hu_plus_1024_becomes_hu(self, kind):
        stored = np.clip(ct() + 1024, 0, None).astype(kind)
        found = rescaled(Image(stored[None], np.eye(4), "scan"), card_of("CT"))
        np.testing.assert_array_equal(found.voxels[0], stored.astype(float) - 1024)
        assert "1024 was subtracted" in found.remarks[0]
        assert image_fit(card_of("CT"), found) == []
        assert rescaled(found, card_of("CT")) is found

    @pytest.mark.parametrize(("modality", "voxels"), [("CT", ct()), ("CT", mr()), ("MR", ct() + 1024)])
    def test_anything_else_stays_as_it_is(self, modality, voxels):
        image = Image(voxels[None], np.eye(4), "scan")
        assert rescaled(image, card_of(modality)) is image


def test_a_scan_smaller_than_the_structures_lie_apart():
    labels = [{**make_card_document()["labels"][0], "value": value, "name": f"Part {value}"} for value in range(1, 5)]
    known = {"centers_mm": {str(value): [0, 15 * value, 0] for value in range(1, 5)}, "misfit": 0.1}
    card = card_of("MR", labels=labels, arrangement=known)
    assert notes_of(card, mr(), (2, 2, 2)) == []
    assert notes_of(card, mr())[0] == "scan covers 20 x 22 x 24 mm; the structures that the model knows lie up to 45 mm apart."
