"""Model cards: what a valid one says, and what of it has to fit together."""

from __future__ import annotations

import json

import pytest
from AttentionSegLib.models import Card, Code, Label
from AttentionSegLib.models.card import with_weights
from AttentionSegLib.models.card_schema import schema
from builders import make_card_document
from full_cards import FULL_CARD, WINDOW, changed, refusal


class TestValidCard:
    def test_its_fields(self):
        card = Card.from_document(FULL_CARD)
        assert (card.id, card.version, card.network) == ("hippocampus-t1", "1.0.0", "attention-unet")
        assert [channel.modality for channel in card.inputs] == ["MR", "CT"]
        assert card.inputs[1].normalization == WINDOW
        assert card.spacing == (1.0, 1.0, 1.0)
        assert card.patch_size == (32, 32, 32)
        assert card.needs_region
        assert card.region_size == (40, 56, 40)
        assert (card.largest_component, card.fill_holes) == ({1, 2}, {2})
        assert card.limits == ("Crops around one hippocampus.",)
        assert card.raw == FULL_CARD

    def test_what_may_be_left_out(self):
        card = Card.from_document(make_card_document())
        assert not card.needs_region
        assert card.region_size is None
        assert card.largest_component == card.fill_holes == frozenset()

    def test_from_a_file(self, tmp_path):
        path = tmp_path / "Größe 模型" / "model.json"
        path.parent.mkdir()
        path.write_text(json.dumps({**FULL_CARD, "title": "Hippokampus (Größe)"}, ensure_ascii=False), encoding="utf-8")
        assert Card.load(path).title == "Hippokampus (Größe)"

    def test_the_schema_itself_is_valid(self):
        import jsonschema

        jsonschema.Draft202012Validator.check_schema(schema())


class TestTerminology:
    """Slicer's form: context~category~type~modifier~anatomic context~region~region modifier, each code as scheme^value^meaning."""

    CATEGORY = Code("SCT", "123037004", "Anatomical Structure")
    TYPE = Code("SCT", "5366008", "Hippocampus")

    def entry(self, modifier: Code | None) -> list[str]:
        return Label(1, "Hippocampus", (0, 0, 0), "model_1", self.CATEGORY, self.TYPE, modifier).terminology_entry.split("~")

    def test_without_modifier(self):
        context, category, kind, modifier, anatomic, region, region_modifier = self.entry(None)
        assert context == "Segmentation category and type - 3D Slicer General Anatomy list"
        assert category == "SCT^123037004^Anatomical Structure"
        assert kind == "SCT^5366008^Hippocampus"
        assert anatomic == "Anatomic codes - DICOM master list"
        assert modifier == region == region_modifier == "^^"

    def test_with_modifier(self):
        assert self.entry(Code("SCT", "7771000", "Left"))[3] == "SCT^7771000^Left"

    @pytest.mark.parametrize("mark", "~^|")
    @pytest.mark.parametrize("part", ["scheme", "value", "meaning"])
    def test_a_code_cannot_hold_a_mark_that_separates(self, mark, part):
        path = ("labels", 0, "terminology", "type", part)
        assert ".".join(map(str, path)) in refusal(changed(path, f"a{mark}b"))

    def test_segments_of_two_labels_and_of_two_models_have_different_ids(self):
        ids = [label.segment_id for name in ("a", "b") for label in Card.from_document(make_card_document(id=name)).labels]
        assert len(set(ids)) == 4


class TestInconsistent:
    @pytest.mark.parametrize("values", [(1, 3), (2, 1), (1, 1), (2, 3)], ids=str)
    def test_label_values(self, values):
        labels = [{**label, "value": value} for label, value in zip(FULL_CARD["labels"], values)]
        assert str(list(values)) in refusal(make_card_document(labels=labels))

    def test_two_labels_of_one_name(self):
        assert "same name" in refusal(changed(("labels", 1, "name"), FULL_CARD["labels"][0]["name"]))

    @pytest.mark.parametrize("step", ["largest_component", "fill_holes"])
    def test_postprocessing_of_a_label_that_is_not_there(self, step):
        assert "post-processing" in refusal(make_card_document(postprocessing={step: [1, 3]}))

    def test_sides_without_pairs_or_found_one_by_one(self):
        separated = {"postprocessing": {"separate_sides": True}}
        assert "separate_sides" in refusal(make_card_document(**separated))
        pairs = {"training": {"mirror_swaps": [[1, 2]]}}
        assert Card.from_document(make_card_document(**separated, **pairs)).side_pairs == ((1, 2),)
        for step in ("separate_sides", "largest_foreground"):
            assert "beside found_by" in refusal({**FULL_CARD, **pairs, "postprocessing": {step: True}})

    @pytest.mark.parametrize("orientation", ["RAR", "RLA", "SSS", "RAP"])
    def test_an_orientation_that_names_an_axis_twice(self, orientation):
        assert orientation in refusal(make_card_document(orientation=orientation))

    @pytest.mark.parametrize("ends", [[99, 1], [50, 50]], ids=str)
    def test_percentiles_that_do_not_rise(self, ends):
        assert "percentiles" in refusal(changed(("inputs", 0, "normalization", "percentiles"), ends))

    @pytest.mark.parametrize("ends", [[240, -160], [0, 0]], ids=str)
    def test_a_window_that_does_not_open(self, ends):
        message = refusal(changed(("inputs", 1, "normalization", "window"), ends))
        assert "window" in message
        assert "CT" in message


SLICED = {
    "network": {"name": "attention-unet", "arguments": {"spatial_dims": 2}},
    "slices": "axial",
    "patch_size": [32, 32, 1],
}


class TestSlices:
    @pytest.mark.parametrize(
        ("orientation", "axes"),
        [("RAS", (2, 1, 0)), ("LPS", (2, 1, 0)), ("LPI", (2, 1, 0)), ("PSR", (1, 0, 2)), ("SLA", (0, 2, 1)), ("AIL", (1, 0, 2)), ("IRP", (0, 2, 1))],
    )
    def test_lie_along_the_axis_that_they_cut(self, orientation, axes):
        for slices, axis in zip(("axial", "coronal", "sagittal"), axes):
            patch = [32, 24, 16]
            patch[axis] = 1
            card = Card.from_document(make_card_document(**{**SLICED, "orientation": orientation, "slices": slices, "patch_size": patch}))
            assert (card.slices, card.slice_axis) == (slices, axis)

    @pytest.mark.parametrize("arguments", [{}, {"spatial_dims": 3}], ids=str)
    def test_a_network_for_volumes_has_none(self, arguments):
        card = Card.from_document(make_card_document(network={"name": "attention-unet", "arguments": arguments}))
        assert (card.slices, card.slice_axis) == (None, None)
        changes = {**SLICED, "network": {"name": "attention-unet", "arguments": arguments}}
        for patch in ([32, 32, 1], [32, 32, 32]):
            assert "'slices' beside another network; name the slices if and only if spatial_dims is 2" in refusal(
                make_card_document(**{**changes, "patch_size": patch})
            )

    def test_a_network_for_slices_has_to_name_them(self):
        document = make_card_document(**SLICED)
        del document["slices"]
        assert "a network for 2D slices without 'slices'" in refusal(document)

    @pytest.mark.parametrize("word", ["transverse", "Axial", "", None, 2, ["axial"]], ids=repr)
    def test_of_an_unknown_name(self, word):
        assert " slices: " in refusal(make_card_document(**{**SLICED, "slices": word}))

    @pytest.mark.parametrize(
        ("slices", "patch"), [("axial", [32, 32, 2]), ("axial", [1, 32, 32]), ("coronal", [32, 32, 1]), ("sagittal", [32, 1, 1])]
    )
    def test_patches_hold_one_slice(self, slices, patch):
        message = refusal(make_card_document(**{**SLICED, "slices": slices, "patch_size": patch}))
        assert f"patches of {tuple(patch)} voxels for {slices} slices; across the slices it must be 1" in message


def test_the_check_sum_is_filled_in_and_the_license_stays():
    document = make_card_document(weights={"license": "CC0-1.0"})
    filled = with_weights(document, "a" * 64, 7)
    assert filled["weights"] == {"license": "CC0-1.0", "sha256": "a" * 64, "bytes": 7}
    assert document["weights"] == {"license": "CC0-1.0"}
