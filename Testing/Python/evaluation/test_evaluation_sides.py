"""A model that finds its regions, measured on whole heads: label maps with sides and without."""

from __future__ import annotations

from collections.abc import Callable

import heads
import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.evaluation import Evaluation, evaluate
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import Model

pytestmark = pytest.mark.usefixtures("blank_pictures")

PARTS = ["Hippocampus anterior", "Hippocampus posterior"]
SIDED = [f"{part}, {side}" for side in ("right", "left") for part in PARTS]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    return heads.intensity_finder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def head() -> Image:
    return heads.head((5, 0, -5))[0]


@pytest.fixture(scope="module")
def labels(model, head) -> np.ndarray:
    """Of sides, as the model finds them."""
    return Predictor(model, "cpu")(head, attention=False).labels.voxels


@pytest.fixture
def measure(model, head, tmp_path) -> Callable[..., Evaluation]:
    """An evaluation on the head with one label map for each name."""

    def run(**references: np.ndarray) -> Evaluation:
        for name, voxels in references.items():
            for kind, image in (("images", head), ("labels", Image(voxels.astype(np.uint8), head.affine))):
                (tmp_path / kind).mkdir(exist_ok=True)
                write_map(image, tmp_path / kind / f"{name}.nrrd")
        return evaluate(model, tmp_path / "images", tmp_path / "labels", tmp_path / "results", device="cpu")

    return run


def without_sides(labels: np.ndarray) -> np.ndarray:
    return np.where(labels > 2, labels - 2, labels)


def dice_of(done: Evaluation) -> dict[str, float]:
    return {label: by_metric["dice"]["mean"] for label, by_metric in done.scores.summary().items()}


def test_label_maps_with_sides_are_measured_side_by_side(measure, labels):
    swapped = np.choose(labels, (0, 1, 2, 4, 3))
    assert dice_of(measure(a=swapped)) == pytest.approx({**dict.fromkeys(SIDED, 1.0), SIDED[2]: 0.0, SIDED[3]: 0.0, "mean": 0.5})


def test_sides_are_folded_for_label_maps_without(measure, labels):
    done = measure(a=without_sides(labels))
    assert dice_of(done) == {PARTS[0]: 1.0, PARTS[1]: 1.0, "mean": 1.0}
    assert PARTS[0] in done.files[0].read_text(encoding="utf-8")


def test_a_label_map_of_one_side_among_those_of_both_is_taken_by_its_values(measure, labels):
    dice = dice_of(measure(a=labels, b=np.where(labels > 2, 0, labels)))
    assert dice == pytest.approx({SIDED[0]: 1.0, SIDED[1]: 1.0, SIDED[2]: 0.5, SIDED[3]: 0.5, "mean": 0.75})


def test_values_that_neither_has_are_refused(measure, labels):
    with pytest.raises(InputError, match=r"does not know \(5\), only 0 background, 1 Hippocampus anterior, right, .* left; read"):
        measure(a=np.where(labels == 4, 5, labels))


def test_sides_cannot_be_told_of_a_scan_of_one_region(measure, labels, head, tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        write_map(Image((head.voxels if kind == "images" else labels)[:, :20, :20, :20], head.affine), tmp_path / kind / "crop.nrrd")
    with pytest.raises(InputError, match=r"has labels of sides, and some scans show a single region, which has none; evaluate"):
        measure(a=labels)
