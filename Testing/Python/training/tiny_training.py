"""A training that takes seconds: bright and dark boxes in small noisy volumes, and a network of two levels."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from AttentionSegLib.datasets.cases import Case
from AttentionSegLib.models import Card
from AttentionSegLib.training.recipe import Recipe
from builders import make_card_document

SETTINGS = {
    "patch_size": [16, 16, 16],
    "batch_size": 1,
    "epochs": 1,
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "average_decay": 0.9,
    "mirror_axes": [0],
    "seed": 3,
}
ROLES = {"case_1": "train", "case_2": "train", "case_3": "val"}
# As an option of the command; more than a tiny training takes.
HOURS = "0.1"


def make_document(card: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """A recipe for the tiny network; `card` and `settings` replace single entries."""
    network = {"name": "attention-unet", "arguments": {"spatial_dims": 3, "channels": [8, 16], "norm": "instance"}}
    whole = make_card_document(id="boxes", network=network, patch_size=[16, 16, 16], weights={"license": "CC0-1.0"})
    return {"card": {**whole, **(card or {})}, "training": {**SETTINGS, **settings}}


def make_recipe(folder: Path, card: dict[str, Any] | None = None, **settings: Any) -> Recipe:
    return Recipe.load(write_recipe(folder, make_document(card, **settings)))


def make_card(**changes: Any) -> Card:
    document = make_document(card=changes)["card"]
    return Card.from_document({**document, "weights": {"sha256": "0" * 64, "bytes": 1, "license": "CC0-1.0"}})


def make_labels(count: int) -> list[dict[str, Any]]:
    """Entries of a card."""
    first = make_document()["card"]["labels"][0]
    return [{**first, "value": value, "name": f"Label {value}"} for value in range(1, count + 1)]


def write_recipe(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "recipe.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def make_volumes(seed: int, shape: tuple[int, int, int] = (18, 17, 16)) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright and a dark box, and the label map of the boxes: 1 is bright, 2 is dark."""
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    i, j, k = random.integers(4, 7, 3)
    labels[i : i + 4, j : j + 6, k : k + 5] = 1
    labels[i + 4 : i + 8, j : j + 6, k : k + 5] = 2
    image = 100 * (labels == 1) - 100 * (labels == 2) + random.normal(0, 10, shape)
    return image.astype(np.float32), labels


def write_case(folder: Path, case: str, image: np.ndarray, labels: np.ndarray, affine: np.ndarray | None = None) -> None:
    for name, voxels in (("images", image), ("labels", labels)):
        (folder / name).mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), folder / name / f"{case}.nii.gz")


def written_case(folder: Path, image: np.ndarray, labels: np.ndarray, affine: np.ndarray | None = None, case: str = "case") -> Case:
    write_case(folder, case, image, labels, affine)
    return Case(case, (folder / "images" / f"{case}.nii.gz",), folder / "labels" / f"{case}.nii.gz")


def write_split(folder: Path, roles: dict[str, str]) -> Path:
    path = folder / "split.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("id", "role"), *roles.items()])
    return path


def write_cases(folder: Path) -> Path:
    """Two cases to learn from and one to validate on: `images`, `labels` and the split, whose path is returned."""
    for seed, case in enumerate(ROLES):
        write_case(folder, case, *make_volumes(seed))
    return write_split(folder, ROLES)
