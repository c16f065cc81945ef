"""Labelled scans on their way into a training: nothing moved, nothing changed that should not be."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import Card
from AttentionSegLib.training.recipe import Case, Recipe
from tiny_training import make_document, make_volumes, write_case, write_recipe

pytest.importorskip("monai")
from AttentionSegLib.training.dataset import CaseDataset, augmentation, prepare_case

REAL_CASES = ["hippocampus_001", "hippocampus_003"]


def make_recipe(folder: Path, **settings) -> Recipe:
    return Recipe.load(write_recipe(folder, make_document(**settings)))


def make_card(**changes) -> Card:
    document = make_document(card=changes)["card"]
    return Card.from_document({**document, "weights": {"sha256": "0" * 64, "bytes": 1, "license": "CC0-1.0"}})


def written_case(folder: Path, image: np.ndarray, labels: np.ndarray, affine: np.ndarray | None = None) -> Case:
    write_case(folder, "case", image, labels, affine)
    return Case("case", folder / "images" / "case.nii.gz", folder / "labels" / "case.nii.gz")


def z_scores(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """What the card of the tests asks for, by the words of its schema."""
    clipped = np.clip(image.astype(np.float64), *np.percentile(image, [low, high]))
    return (clipped - clipped.mean()) / clipped.std()


class TestPrepareCase:
    @pytest.mark.parametrize("name", REAL_CASES)
    def test_a_real_case_keeps_every_voxel_and_label(self, data_folder, name):
        folder = data_folder / "hippocampus"
        case = Case(name, folder / "images" / f"{name}.nii.gz", folder / "labels" / f"{name}.nii.gz")
        image, label = prepare_case(case, make_card())
        file_image, file_label = nibabel.load(case.image), nibabel.load(case.label)
        assert nibabel.aff2axcodes(file_image.affine) == ("R", "A", "S")
        np.testing.assert_array_equal(label[0].numpy(), np.asarray(file_label.dataobj))
        assert label.dtype == torch.uint8
        np.testing.assert_allclose(image[0].numpy(), z_scores(file_image.get_fdata(), 0.5, 99.5), atol=1e-4)
        assert image.dtype == torch.float32

    def test_the_axes_of_the_file_do_not_matter(self, tmp_path):
        volumes = make_volumes(0)
        expected = prepare_case(written_case(tmp_path, *volumes), make_card())
        turned = [np.ascontiguousarray(volume[::-1, :, ::-1].transpose(2, 0, 1)) for volume in volumes]
        affine = np.zeros((4, 4))
        affine[0, 1], affine[1, 2], affine[2, 0], affine[3, 3] = -1, 1, -1, 1
        affine[:3, 3] = volumes[0].shape[0] - 1, 0, volumes[0].shape[2] - 1
        for got, wanted in zip(prepare_case(written_case(tmp_path, *turned, affine), make_card()), expected):
            torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)

    def test_another_spacing_keeps_labels_in_their_place(self, tmp_path):
        labels = np.zeros((24, 20, 16), np.uint8)
        labels[4:12, 4:12, 4:8], labels[12:20, 4:12, 8:12] = 1, 2
        image = 100.0 * labels.astype(np.float32)
        coarse_image, coarse = prepare_case(written_case(tmp_path, image, labels), make_card(spacing_mm=[2, 2, 2]))
        assert coarse.shape == coarse_image.shape == (1, 12, 10, 8)
        np.testing.assert_array_equal(coarse[0].numpy(), labels[::2, ::2, ::2])

    def test_a_value_that_the_card_does_not_name(self, tmp_path):
        image, labels = make_volumes(0)
        labels[0, 0, 0], labels[1, 1, 1] = 7, 3
        with pytest.raises(InputError, match=r"^Case case: the label map holds \[3, 7\], which the card does not name; [^\n]+\.$"):
            prepare_case(written_case(tmp_path, image, labels), make_card())

    def test_values_between_labels(self, tmp_path):
        image, labels = make_volumes(0)
        with pytest.raises(InputError, match=r"^Case case: the label map holds \[0\.5, 1\.5\], which"):
            prepare_case(written_case(tmp_path, image, labels + np.float32(0.5) * (labels < 2)), make_card())

    @pytest.mark.parametrize("moved", [True, False], ids=["another place", "another shape"])
    def test_a_label_map_on_another_grid(self, tmp_path, moved):
        image, labels = make_volumes(0)
        case = written_case(tmp_path, image, labels)
        affine = np.eye(4)
        affine[0, 3] = 0.5 if moved else 0
        nibabel.save(nibabel.Nifti1Image(labels if moved else labels[:, :, :-1], affine), case.label)
        with pytest.raises(InputError, match=r"^Case case: image [^\n]+ do not lie on one grid; [^\n]+\.$"):
            prepare_case(case, make_card())

    @pytest.mark.parametrize("voxels", [np.nan, np.inf], ids=str)
    def test_an_image_with_voxels_that_are_no_numbers(self, tmp_path, voxels):
        image, labels = make_volumes(0)
        image[2, 3, 4] = voxels
        with pytest.raises(InputError, match=r"^[^\n]+case\.nii\.gz has 1 voxel[^\n]+ NaN[^\n]+\.$"):
            prepare_case(written_case(tmp_path, image, labels), make_card())

    def test_a_card_with_more_inputs_than_a_case_has_files(self, tmp_path):
        inputs = [{"name": name, "modality": "MR", "normalization": {"kind": "z-score", "percentiles": [0, 100]}} for name in ("T1", "T2")]
        with pytest.raises(InputError, match=r"needs 2 input\(s\) \(T1, T2\), and 1 were given"):
            prepare_case(written_case(tmp_path, *make_volumes(0)), make_card(inputs=inputs))


class TestAugmentation:
    def pairs(self, folder: Path, count: int = 25, seed: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
        """A lopsided bright body, the same in image and label, after augmentation."""
        torch.manual_seed(seed)
        augment = augmentation(make_recipe(folder, patch_size=[32, 28, 24], mirror_axes=[0, 1, 2]))
        body = torch.zeros(1, 34, 30, 26)
        body[0, 9:21, 8:16, 8:18] = 1
        body[0, 17:25, 12:20, 12:16] = 1
        items = [augment({"image": 4 * body, "label": body.to(torch.uint8)}) for _ in range(count)]
        return [(item["image"].numpy()[0], item["label"].numpy()[0]) for item in items]

    def test_image_and_label_stay_together(self, tmp_path):
        distances = []
        for image, label in self.pairs(tmp_path, count=100):
            assert image.shape == label.shape == (32, 28, 24)
            bright = image > (np.percentile(image, 2) + np.percentile(image, 98)) / 2
            dice = 2 * (bright & (label == 1)).sum() / (bright.sum() + (label == 1).sum())
            assert dice > 0.8
            distances.append(np.argwhere(bright).mean(0) - np.argwhere(label == 1).mean(0))
        assert np.abs(distances).max() < 1
        assert np.abs(np.mean(distances, axis=0)).max() < 0.04

    def test_labels_stay_labels_and_images_stay_numbers(self, tmp_path):
        for image, label in self.pairs(tmp_path):
            assert set(np.unique(label)) == {0, 1}
            assert np.isfinite(image).all()

    def test_every_axis_is_mirrored_at_times_if_allowed(self, tmp_path):
        middles = np.array([np.argwhere(label == 1).mean(0) for _, label in self.pairs(tmp_path)])
        assert (np.ptp(middles, axis=0) > 2).all()

    def test_the_seed_rules_it(self, tmp_path):
        first, again, other = (self.pairs(tmp_path, 3, seed) for seed in (1, 1, 2))
        assert all(np.array_equal(a, b) for pair in zip(first, again) for a, b in zip(*pair))
        assert not any(np.array_equal(a[0], b[0]) for a, b in zip(first, other))
        assert not np.array_equal(first[0][0], first[1][0])

    def test_an_axis_that_must_not_be_mirrored_is_not(self, tmp_path):
        torch.manual_seed(1)
        augment = augmentation(make_recipe(tmp_path, patch_size=[24, 24, 24], mirror_axes=[1]))
        body = torch.zeros(1, 24, 24, 24)
        body[0, 2:8, 2:8, 2:8] = 1
        middles = []
        for _ in range(25):
            middles.append(np.argwhere(augment({"image": body, "label": body})["label"].numpy()[0] > 0.5).mean(0))
        assert np.max(middles, axis=0)[[0, 2]].max() < 12 < np.max(middles, axis=0)[1]


class TestCaseDataset:
    def test_items(self, tmp_path):
        dataset = CaseDataset([written_case(tmp_path, *make_volumes(0))], make_card(), make_recipe(tmp_path))
        item = dataset[0]
        assert len(dataset) == 1
        assert item["image"].shape == item["label"].shape == (1, 16, 16, 16)
        assert type(item["image"]) is type(item["label"]) is torch.Tensor
        assert not torch.equal(item["image"], dataset[0]["image"])
