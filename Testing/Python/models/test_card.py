"""Model cards: what a valid one says, and how a wrong one is refused."""

from __future__ import annotations

import copy
import json

import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import Card, Code, Label
from AttentionSegLib.models.card import with_weights
from AttentionSegLib.models.card_schema import LARGEST_CARD, schema, validator
from builders import make_card_document

ONE_SENTENCE = r"^[^\n]+; correct the card or install the model again\.$"
WINDOW = {"kind": "window", "window": [-160, 240], "mean": 40.0, "std": 120.0}
Z_SCORE = {"kind": "z-score", "percentiles": [0.5, 99.5]}
FULL_CARD = make_card_document(
    inputs=[
        {"name": "T1", "modality": "MR", "normalization": Z_SCORE},
        {"name": "CT", "modality": "CT", "normalization": WINDOW},
    ],
    field_of_view={"kind": "region", "size_mm": [40, 56, 40]},
    found_by={
        "kind": "template",
        "file": "brain.nii.gz",
        "sha256": "0" * 64,
        "bytes": 1000,
        "license": "CC0-1.0",
        "source": "a brain",
        "regions": [{"name": "right", "center_mm": [26, -24, -10], "laterality": {"scheme": "SCT", "value": "24028007", "meaning": "Right"}}],
    },
    postprocessing={"largest_component": [1, 2], "fill_holes": [2]},
    training={"seed": 1, "command": "python -m AttentionSegLib.training recipe.json"},
    labels=[
        {
            **label,
            "terminology": {**label["terminology"], "modifier": {"scheme": "SCT", "value": "255549009", "meaning": "Anterior"}},
        }
        for label in make_card_document()["labels"]
    ],
    accuracy=[{"data": "Task04", "label": "Anterior", "metric": "Dice", "value": 0.88, "cases": 40, "command": "attentionseg evaluate"}],
    maps=[{"map": "gate_2", "roc_auc": 0.9, "data": "Task04", "cases": 5, "command": "attentionseg evaluate --maps"}],
)


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


def changed(path: tuple, *value: object) -> dict:
    """The full card with another value at `path`; without a value, with nothing there."""
    document = copy.deepcopy(FULL_CARD)
    if path[0] == "arrangement":
        # A model of regions, as the full card is for, has none.
        document["arrangement"] = {"centers_mm": {str(value): [value, 0, 0] for value in range(1, 5)}, "misfit": 0.1}
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    if value:
        parent[path[-1]] = value[0]
    else:
        del parent[path[-1]]
    return document


def refusal(document: object) -> str:
    with pytest.raises(InputError, match=ONE_SENTENCE) as caught:
        Card.from_document(document, "model.json of X")
    assert str(caught.value).startswith("model.json of X ")
    return str(caught.value)


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


def test_the_check_sum_is_filled_in_and_the_license_stays():
    document = make_card_document(weights={"license": "CC0-1.0"})
    filled = with_weights(document, "a" * 64, 7)
    assert filled["weights"] == {"license": "CC0-1.0", "sha256": "a" * 64, "bytes": 7}
    assert document["weights"] == {"license": "CC0-1.0"}
