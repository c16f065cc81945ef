"""A model card that says all that one can, how to change it, and the sentence with which a wrong one is refused."""

from __future__ import annotations

import copy

import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import Card
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
