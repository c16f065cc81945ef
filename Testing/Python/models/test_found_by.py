"""What a card says of who finds its regions, the template that comes with it, and the card of a result with sides."""

from __future__ import annotations

import gzip
import hashlib
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import heads
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import Card, Code, card_of_sides
from AttentionSegLib.models.found_by import checked_template
from builders import make_card_document

RIGHT, LEFT = Code("SCT", "24028007", "Right"), Code("SCT", "7771000", "Left")


@pytest.fixture(scope="module")
def document(tmp_path_factory) -> dict[str, Any]:
    return make_card_document(**heads.entries(tmp_path_factory.mktemp("model")), postprocessing={"largest_component": [2], "fill_holes": [1]})


@pytest.fixture
def card(document) -> Card:
    return Card.from_document(document)


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(InputError, match=r"^model card [^\n]+; [^\n]+\.$") as caught:
        Card.from_document(document)
    return str(caught.value)


class TestCard:
    def test_says_where_the_regions_are_in_the_template(self, card):
        assert (card.found_by.file, card.found_by.license, card.found_by.source) == ("head.nii.gz", "CC0-1.0", "a head of formulas")
        assert {region.name: region.center for region in card.found_by.regions} == heads.CENTERS
        assert [region.laterality for region in card.found_by.regions] == [RIGHT, LEFT]

    def test_need_not_name_anything(self):
        assert Card.from_document(make_card_document()).found_by is None

    def test_a_region_need_not_be_on_a_side(self, document):
        changed = deepcopy(document)
        del changed["found_by"]["regions"][0]["laterality"]
        assert Card.from_document(changed).found_by.regions[0].laterality is None

    @pytest.mark.parametrize(
        ("part", "value"),
        [
            ("kind", "magic"),
            ("file", "../head.nii.gz"),
            ("file", "head.nii"),
            ("file", "/head.nii.gz"),
            ("sha256", "0"),
            ("bytes", 1_000_001),
            ("license", ""),
            ("regions", []),
            ("labels", {"right": 1}),
        ],
    )
    def test_what_breaks_the_schema_is_refused(self, document, part, value):
        assert "breaks the schema of model cards at found_by" in refusal({**document, "found_by": {**document["found_by"], part: value}})

    @pytest.mark.parametrize("part", ["kind", "file", "sha256", "bytes", "license", "source", "regions"])
    def test_nothing_may_be_missing(self, document, part):
        block = {key: value for key, value in document["found_by"].items() if key != part}
        assert part in refusal({**document, "found_by": block})

    def test_a_model_of_whole_scans_has_nothing_to_find(self, document):
        assert "found_by for a model of whole scans" in refusal({**document, "field_of_view": {"kind": "whole"}})

    def test_regions_have_names_of_their_own(self, document):
        changed = deepcopy(document)
        changed["found_by"]["regions"][1]["name"] = "right"
        assert "two regions of the same name" in refusal(changed)


class TestTemplate:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        heads.found_by(tmp_path)
        return tmp_path

    def refused(self, folder: Path, card: Card, content: bytes, digest: bool = True) -> str:
        (folder / heads.TEMPLATE_NAME).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest() if digest else card.found_by.sha256
        with pytest.raises(InputError, match=r"^'head.nii.gz' of [^\n]+; get the model again\.$") as caught:
            checked_template(folder, replace(card.found_by, sha256=sha256))
        return str(caught.value)

    def test_as_the_card_has_it(self, folder, card):
        assert checked_template(folder, card.found_by) == folder / heads.TEMPLATE_NAME

    def test_missing(self, card, tmp_path):
        with pytest.raises(InputError, match=r"^The template [^\n]+ cannot be read \(No such file or directory\); install the model again\.$"):
            checked_template(tmp_path, card.found_by)

    def test_another_than_that_of_the_card(self, folder, card):
        content = (folder / heads.TEMPLATE_NAME).read_bytes()
        assert "its SHA-256 differs" in self.refused(folder, card, content[:-1] + b"x", digest=False)

    def test_that_would_fill_the_memory(self, folder, card):
        unpacked = gzip.decompress((folder / heads.TEMPLATE_NAME).read_bytes())
        assert "at most 32 MB unpacked" in self.refused(folder, card, gzip.compress(unpacked + bytes(40_000_000)))

    @pytest.mark.parametrize("kind", ["cut off", "no gzip", "no NIfTI", "four bytes a voxel", "two streams"])
    def test_that_is_no_image_of_one_byte_a_voxel(self, folder, card, kind):
        packed = (folder / heads.TEMPLATE_NAME).read_bytes()
        unpacked = gzip.decompress(packed)
        content = {
            "cut off": packed[:2000],
            "no gzip": unpacked,
            "no NIfTI": gzip.compress(bytes(5000)),
            "four bytes a voxel": gzip.compress(unpacked[:70] + (16).to_bytes(2, "little") + unpacked[72:]),
            "two streams": packed + packed,
        }[kind]
        assert "is not a NIfTI image of one byte a voxel" in self.refused(folder, card, content)


class TestCardOfSides:
    def test_every_side_has_labels_of_its_own(self, card):
        labels = card_of_sides(card).labels
        assert [label.value for label in labels] == [1, 2, 3, 4]
        assert [label.name for label in labels] == [
            "Hippocampus anterior, right",
            "Hippocampus posterior, right",
            "Hippocampus anterior, left",
            "Hippocampus posterior, left",
        ]
        assert len({label.segment_id for label in (*labels, *card.labels)}) == 6
        assert [label.laterality for label in labels] == [RIGHT, RIGHT, LEFT, LEFT]
        assert [label.color for label in labels] == 2 * [label.color for label in card.labels]

    def test_post_processing_is_that_of_each_side(self, card):
        sided = card_of_sides(card)
        assert (sided.largest_component, sided.fill_holes) == ({2, 4}, {1, 3})

    def test_the_side_modifies_the_term(self, card):
        assert card_of_sides(card).labels[2].terminology_entry.split("~")[2:4] == ["SCT^5366008^Hippocampus", "SCT^7771000^Left"]

    def test_another_modifier_moves_to_the_anatomic_region(self, document):
        changed = deepcopy(document)
        changed["labels"][0]["terminology"]["modifier"] = {"scheme": "SCT", "value": "255549009", "meaning": "Anterior"}
        entry = card_of_sides(Card.from_document(changed)).labels[2].terminology_entry.split("~")
        assert entry[2:4] == ["SCT^5366008^Hippocampus", "SCT^7771000^Left"]
        assert entry[5:] == ["SCT^5366008^Hippocampus", "SCT^255549009^Anterior"]
