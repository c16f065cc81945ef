"""Model cards with something missing, with wrong values, or that cannot be read: how they are refused."""

from __future__ import annotations

import json

import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import Card
from AttentionSegLib.models.card_schema import LARGEST_CARD, schema, validator
from builders import make_card_document
from full_cards import FULL_CARD, changed, refusal


def required_fields(rules: dict, path: tuple = ()) -> list[tuple]:
    """The path of every field that the schema requires of a full card, array items as 0."""
    rules = schema()["$defs"][rules["$ref"].rsplit("/", 1)[1]] if "$ref" in rules else rules
    found = [(*path, name) for name in rules.get("required", ())]
    for name, inner in rules.get("properties", {}).items():
        if isinstance(inner, dict):
            found += required_fields(inner, (*path, name))
    if "items" in rules:
        found += required_fields(rules["items"], (*path, 0))
    return found


class TestMissing:
    def test_what_a_user_must_be_told_is_required(self):
        told = {"title", "description", "inputs", "labels", "field_of_view", "weights", "training_data", "accuracy", "intended_use", "limits"}
        assert told <= {path[0] for path in required_fields(schema()) if len(path) == 1}

    @pytest.mark.parametrize("path", required_fields(schema()), ids=lambda path: ".".join(map(str, path)))
    def test_a_required_field(self, path):
        message = refusal(changed(path))
        assert f"'{path[-1]}' is a required property" in message
        assert (".".join(map(str, path[:-1])) or "the card") in message

    @pytest.mark.parametrize(
        ("channel", "name"), [(0, "kind"), (0, "percentiles"), (1, "kind"), (1, "window"), (1, "mean"), (1, "std")], ids=lambda value: str(value)
    )
    def test_a_field_of_a_normalization(self, channel, name):
        message = refusal(changed(("inputs", channel, "normalization", name)))
        assert f"inputs.{channel}.normalization: '{name}' is a required property" in message

    def test_the_size_of_a_region(self):
        assert "size_mm" in refusal(make_card_document(field_of_view={"kind": "region"}))


WRONG_VALUES = [
    (("card_version",), 2),
    (("id",), "Hippocampus T1"),
    (("id",), "../escape"),
    (("id",), "hippocampus\n"),
    (("id",), "con"),
    (("id",), "lpt1"),
    (("title",), "Brain\x1b[2J"),
    (("title",), "Brain\nstructures"),
    (("title",), "half \ud83d"),
    (("title",), "x" * 301),
    (("description",), "bell \x07"),
    (("labels", 0, "name"), "\x9b31m"),
    (("spacing_mm", 1), 1e308),
    (("spacing_mm", 1), 1e-9),
    (("spacing_mm", 1), 10**400),
    (("patch_size", 0), 10**6),
    (("inputs", 1, "normalization", "mean"), 1e308),
    (("inputs", 1, "normalization", "std"), 1e-30),
    (("network", "arguments", "channels"), [8] * 10_000),
    (("network", "arguments", "dropout"), 1e9),
    (("version",), "1.0.0\n"),
    (("version",), "1.0"),
    (("title",), ""),
    (("description",), None),
    (("network",), "attention-unet"),
    (("network", "arguments"), [32]),
    (("inputs",), []),
    (("inputs", 0, "modality"), "MRI"),
    (("inputs", 0, "normalization"), "z-score"),
    (("inputs", 0, "normalization", "kind"), "minmax"),
    (("inputs", 0, "normalization", "percentiles", 1), 101),
    (("inputs", 0, "normalization", "percentiles"), [50]),
    (("inputs", 1, "normalization", "std"), 0),
    (("spacing_mm",), [1, 1]),
    (("spacing_mm", 1), 0),
    (("spacing_mm", 2), "1"),
    (("spacing_mm", 0), float("nan")),
    (("spacing_mm", 0), float("inf")),
    (("orientation",), "RASL"),
    (("patch_size", 0), 0),
    (("patch_size", 0), 32.5),
    (("patch_size", 0), 32.0),
    (("overlap",), 1.0),
    (("overlap",), float("nan")),
    (("labels",), []),
    (("labels", 0, "value"), 1.0),
    (("labels", 0, "color", 1), 256),
    (("labels", 0, "color"), [0, 0]),
    (("field_of_view", "kind"), "slab"),
    (("field_of_view", "size_mm", 0), -40),
    (("postprocessing", "fill_holes"), [1, 1]),
    (("weights", "sha256"), "abc"),
    (("weights", "bytes"), 0),
    (("training_data",), []),
    (("accuracy", 0, "value"), "high"),
    (("maps", 0, "roc_auc"), 1.2),
    (("limits",), []),
]


class TestWrongValues:
    @pytest.mark.parametrize(("path", "value"), WRONG_VALUES, ids=[f"{'.'.join(map(str, path))}={value}"[:60] for path, value in WRONG_VALUES])
    def test_the_field_is_named(self, path, value):
        assert f" {'.'.join(map(str, path))}: " in refusal(changed(path, value))

    @pytest.mark.parametrize("path", [(), ("weights",), ("labels", 0), ("inputs", 1, "normalization"), ("network",)], ids=str)
    def test_a_field_of_unknown_name_is_named(self, path):
        assert "pickle" in refusal(changed((*path, "pickle"), "code"))

    @pytest.mark.parametrize("document", [None, [], "card", 3], ids=str)
    def test_something_else_than_an_object(self, document):
        assert "the card" in refusal(document)

    def test_a_huge_value_does_not_fill_the_message(self):
        assert len(refusal(make_card_document(title=["x" * 100_000]))) < 500

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("network", "arguments", "channels"), [{}] * 100_000),
            (("labels",), ["label"] * 100_000),
            (("postprocessing", "fill_holes"), [0] * 100_000),
            (("network", "arguments"), {f"argument_{number}": {} for number in range(100_000)}),
        ],
        ids=("channels", "labels", "label values", "arguments"),
    )
    def test_wrong_items_of_a_too_long_array_are_not_looked_at(self, path, value):
        assert [tuple(error.path) for error in validator().iter_errors(changed(path, value))] == [path]

    def test_arrays_nested_too_deeply(self):
        deep: list = []
        for _ in range(900):
            deep = [deep]
        assert "in each other" in refusal(make_card_document(training={"note": deep}))

    def test_a_file_of_more_bytes_than_a_card_may_have(self, tmp_path):
        path = tmp_path / "model.json"
        path.write_text(json.dumps(make_card_document(training={"note": "x" * LARGEST_CARD})))
        with pytest.raises(InputError, match="may have 4 MB"):
            Card.load(path)


UNREADABLE = {
    "not json": b"id: hippocampus",
    "cut off": json.dumps(make_card_document()).encode()[:-40],
    "not text": b"\x80\x02}q\x00X\xff",
    "empty": b"",
    "nested without end": b"[" * 200_000,
}


class TestUnreadableFile:
    @pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
    def test_content(self, tmp_path, content):
        path = tmp_path / "model.json"
        path.write_bytes(content)
        with pytest.raises(
            InputError, match=r"^The model card [^\n]+ cannot be read [^\n]+; restore the file or install the model again\.$"
        ) as caught:
            Card.load(path)
        assert str(path) in str(caught.value)

    def test_missing_file_or_folder_in_its_place(self, tmp_path):
        for path in (tmp_path / "model.json", tmp_path):
            with pytest.raises(InputError, match=r"^The model card .* cannot be read"):
                Card.load(path)

    def test_numbers_that_json_does_not_have(self, tmp_path):
        path = tmp_path / "model.json"
        path.write_text(json.dumps(FULL_CARD).replace('"overlap": 0.5', '"overlap": 1e999'), encoding="utf-8")
        with pytest.raises(InputError, match=r"overlap: inf is not of type 'number'"):
            Card.load(path)
