"""From PNG files to a 2D model, and everything that is done with it: the same commands as for scans."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.datasets.case_set import folder_cases
from AttentionSegLib.datasets.survey import make_survey
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from AttentionSegLib.image import Image
from AttentionSegLib.inference.checks import check_input
from AttentionSegLib.inference.fit import image_fit
from AttentionSegLib.models import Card, load_model
from AttentionSegLib.planning import schedule
from builders import make_card_document
from PIL import Image as Pillow

pytest.importorskip("lightning")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("blank_pictures")]

SIZE = (40, 48)


def write_pictures(folder: Path, count: int = 3, colored: bool = True, drawn: int = 1) -> Path:
    """Pictures with a box that is bright in red, and label maps in which it has the value `drawn`. The first has no blue, as of two dyes."""
    random = np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number in range(count):
        label = np.zeros(SIZE, np.uint8)
        row, column = random.integers(4, 16, 2)
        label[row : row + 14, column : column + 12] = 1
        pixels = random.normal(60, 10, (*SIZE, 3))
        pixels[..., 0] += 120 * label
        pixels[..., 2] *= number > 0
        pixels = pixels.clip(0, 255).astype(np.uint8)
        Pillow.fromarray(pixels if colored else pixels[..., 0]).save(folder / "images" / f"case_{number}.png")
        Pillow.fromarray(label * np.uint8(drawn)).save(folder / "labels" / f"case_{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = write_pictures(tmp_path_factory.mktemp("pictures"))
    data = [f"--images={folder / 'images'}", f"--labels={folder / 'labels'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "MOST_STEPS", 10)
        assert attentionseg(["train", *data, "--network=attention-unet", "--hours=0.1", "--device=cpu", f"--output={folder / 'model'}"]) == 0
    return folder


def run(command: str, *words: str | Path, **options: str | Path) -> None:
    assert attentionseg([command, *map(str, words), *(f"--{name}={value}" for name, value in options.items()), "--device=cpu"]) == 0


class TestModel:
    def test_it_takes_one_image_in_colors(self, trained):
        card = load_model(trained / "model").card
        assert ([channel.name for channel in card.inputs], len(card.scans)) == (["red", "green", "blue"], 1)
        assert (card.inputs[0].modality, card.slices) == ("OT", "axial")

    def test_a_picture_is_told_in_pixels(self, trained, tmp_path, capsys):
        run("segment", trained / "images" / "case_0.png", model=trained / "model", output=tmp_path)
        report = json.loads((tmp_path / "case_0_report.json").read_text(encoding="utf-8"))
        assert report["geometry"] == {"shape": [*SIZE[::-1], 1], "spacing_mm": None}
        (label,) = report["labels"]
        assert (label["milliliters"], label["square_millimeters"]) == (None, None)
        assert label["voxels"] == np.count_nonzero(read_image(tmp_path / "case_0_segmentation.seg.nrrd").voxels)
        assert f"{label['voxels']} pixels" in capsys.readouterr().out
        for entry in report["attention"]:
            assert entry["title"].endswith(" pixels)")
            assert entry["spacing_mm"] is None

    def test_it_knows_pixels_alone(self, trained):
        card = load_model(trained / "model").card
        assert "pixels of unknown size" in card.raw["limits"][0]
        image = read_image(trained / "images" / "case_0.png")
        assert image_fit(card, image) == []
        known = image_fit(card, Image(image.voxels, np.diag([0.2, 0.2, 1, 1]), "photograph"))
        assert "photograph (red) has pixels of 0.2 mm; the model was trained on images of unknown pixel size" in known[0]

    def test_batch_and_evaluate(self, trained, tmp_path):
        run("batch", trained / "images", model=trained / "model", output=tmp_path / "batch")
        with (tmp_path / "batch" / "measurements.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert [(row["case"], row["milliliters"]) for row in rows] == [(f"case_{n}", "") for n in range(3)]
        assert "pixels" in (tmp_path / "batch" / "report.html").read_text(encoding="utf-8")
        run("evaluate", model=trained / "model", images=trained / "images", labels=trained / "labels", output=tmp_path / "out")
        assert json.loads((tmp_path / "out" / "summary.json").read_text())["mean"]["dice"]["n"] == 3


class TestBadInput:
    CARD = Card.from_document(make_card_document())
    FLAT = Card.from_document(
        make_card_document(network={"name": "attention-unet", "arguments": {"spatial_dims": 2}}, slices="axial", patch_size=[32, 32, 1])
    )

    @pytest.mark.parametrize(
        ("card", "shape", "sentence"),
        [
            (CARD, (1, 9, 8, 1), "takes volumes; give the scan with all of its slices"),
            (FLAT, (1, 9, 1, 8), "is a single coronal slice, and the model .* takes axial ones"),
            (FLAT, (3, 9, 8, 1), "is in colors, and the model .* takes gray images"),
        ],
    )
    def test_a_slice_that_the_model_cannot_take(self, card, shape, sentence):
        with pytest.raises(InputError, match=sentence):
            check_input(Image(np.random.default_rng(0).normal(size=shape), np.eye(4), "scan"), None, card)

    def test_a_picture_of_one_color(self, trained):
        card = load_model(trained / "model").card
        black = Image(np.zeros((3, 40, 40, 1)), np.eye(4), "scan", spacing_known=False)
        with pytest.raises(InputError, match=r"^scan \(channel red\) has the same intensity \(0\) everywhere"):
            check_input(black, None, card)
        black.voxels[1, 20:] = 1
        check_input(black, None, card)

    def test_a_gray_picture_for_a_model_of_colors(self, trained, capsys):
        path = trained / "labels" / "case_0.png"
        assert attentionseg(["segment", str(path), f"--model={trained / 'model'}", f"--output={trained / 'never'}"]) == 2
        assert "is gray, and the model model takes images in colors" in capsys.readouterr().err

    def test_gray_and_colored_pictures_together(self, tmp_path):
        write_pictures(tmp_path)
        Pillow.open(tmp_path / "images" / "case_1.png").convert("L").save(tmp_path / "images" / "case_1.png")
        with pytest.raises(InputError, match=r"is (gray|in colors), and case_\d is not; convert all alike"):
            make_survey(folder_cases(tmp_path / "images", tmp_path / "labels"))

    def test_a_mask_of_0_and_255(self, tmp_path):
        write_pictures(tmp_path, drawn=255)
        with pytest.raises(InputError, match=r"holds 255, .*--label-map 255=1"):
            make_survey(folder_cases(tmp_path / "images", tmp_path / "labels"))
