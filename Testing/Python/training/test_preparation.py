"""Labelled scans on the working grid and in their files: nothing moved, nothing changed that should not be, nothing done twice."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from AttentionSegLib.datasets.cases import Case
from AttentionSegLib.errors import InputError, OutputError
from AttentionSegLib.training.preparation import IGNORED, VOXELS_PER_LABEL, prepare_case, prepare_cases
from tiny_training import make_card, make_labels, make_volumes, write_case, written_case

REAL_CASES = ["hippocampus_001", "hippocampus_003"]


def z_scores(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """What the card of the tests asks for, by the words of its schema."""
    clipped = np.clip(image.astype(np.float64), *np.percentile(image, [low, high]))
    return (clipped - clipped.mean()) / clipped.std()


class TestPrepareCase:
    @pytest.mark.parametrize("name", REAL_CASES)
    def test_a_real_case_keeps_every_voxel_and_label(self, data_folder, name):
        folder = data_folder / "hippocampus"
        case = Case(name, (folder / "images" / f"{name}.nii.gz",), folder / "labels" / f"{name}.nii.gz")
        image, label = prepare_case(case, make_card())
        file_image, file_label = nibabel.load(case.images[0]), nibabel.load(case.label)
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

    def test_channels(self, tmp_path):
        image, labels = make_volumes(0)
        first, second = written_case(tmp_path, image, labels), written_case(tmp_path, -image, labels, case="other")
        inputs = [{"name": name, "modality": "MR", "normalization": {"kind": "z-score", "percentiles": [0, 100]}} for name in ("T1", "T2")]
        both, _ = prepare_case(Case("both", (*first.images, *second.images), first.label), make_card(inputs=inputs))
        torch.testing.assert_close(both[0], -both[1], rtol=0, atol=1e-5)

    def test_voxels_that_nobody_judged(self, tmp_path):
        image, labels = make_volumes(0)
        labels[:3] = 77
        _, label = prepare_case(written_case(tmp_path, image, labels), make_card(), ignored_label=77)
        np.testing.assert_array_equal(label[0].numpy(), np.where(labels == 77, IGNORED, labels))

    def test_a_value_that_the_card_does_not_name(self, tmp_path):
        image, labels = make_volumes(0)
        labels[0, 0, 0], labels[1, 1, 1] = 7, 3
        with pytest.raises(InputError, match=r"^Case case: the label map holds \[3, 7\], which the card does not name; [^\n]+\.$"):
            prepare_case(written_case(tmp_path, image, labels), make_card())

    def test_values_between_labels(self, tmp_path):
        image, labels = make_volumes(0)
        with pytest.raises(InputError, match=r"/case\.nii\.gz holds fractions, such as 0\.5; "):
            prepare_case(written_case(tmp_path, image, labels + np.float32(0.5) * (labels < 2)), make_card())

    def test_a_label_map_on_another_grid(self, tmp_path):
        image, labels = make_volumes(0)
        case = written_case(tmp_path, image, labels)
        affine = np.eye(4)
        affine[0, 3] = 0.5
        nibabel.save(nibabel.Nifti1Image(labels, affine), case.label)
        with pytest.raises(InputError, match=r"^[^\n]*case\.nii\.gz [^\n]+; resample [^\n]+\.$"):
            prepare_case(case, make_card())

    def test_voxels_without_a_number_are_outside(self, tmp_path):
        image, labels = make_volumes(0)
        image[:3] = np.nan
        assert torch.isfinite(prepare_case(written_case(tmp_path, image, labels), make_card())[0]).all()

    @pytest.mark.parametrize("voxels", [-np.inf, np.inf], ids=str)
    def test_an_image_with_voxels_that_are_no_numbers(self, tmp_path, voxels):
        image, labels = make_volumes(0)
        image[2, 3, 4] = voxels
        with pytest.raises(InputError, match=r"^[^\n]+case\.nii\.gz has 1 voxel[^\n]+ NaN[^\n]+\.$"):
            prepare_case(written_case(tmp_path, image, labels), make_card())

    def test_a_card_with_more_inputs_than_a_case_has_files(self, tmp_path):
        inputs = [{"name": name, "modality": "MR", "normalization": {"kind": "z-score", "percentiles": [0, 100]}} for name in ("T1", "T2")]
        with pytest.raises(InputError, match=r"needs 2 input\(s\) \(T1, T2\), and 1 were given"):
            prepare_case(written_case(tmp_path, *make_volumes(0)), make_card(inputs=inputs))


class TestPrepareCases:
    def prepared(self, folder: Path, case: Case, **changes):
        return prepare_cases([case], make_card(**changes), None, folder / "prepared")[0]

    def test_the_files_hold_the_case(self, tmp_path):
        case = written_case(tmp_path, *make_volumes(0))
        image, label = prepare_case(case, make_card())
        prepared = self.prepared(tmp_path, case)
        np.testing.assert_allclose(prepared.image, image.numpy(), rtol=2**-10, atol=2**-20)
        np.testing.assert_array_equal(prepared.label, label.numpy())
        assert (prepared.id, prepared.image.dtype, prepared.label.dtype) == ("case", np.float16, np.uint8)
        assert prepared.image.size * 3 < prepared.bytes < prepared.image.size * 3 + 5000

    def test_the_voxels_of_the_labels(self, tmp_path):
        image, labels = np.arange(20.0**3).reshape(20, 20, 20), np.zeros((20, 20, 20), np.uint8)
        labels[:, :, 10:] = 1
        labels[3, 4, 5] = 2
        voxels = self.prepared(tmp_path, written_case(tmp_path, image, labels)).label_voxels
        assert voxels[voxels[:, 0] == 2].tolist() == [[2, 3, 4, 5]]
        of_first = voxels[voxels[:, 0] == 1]
        assert len(of_first) == VOXELS_PER_LABEL < (labels == 1).sum()
        assert (labels[tuple(of_first[:, 1:].T)] == 1).all()
        assert np.ptp(of_first[:, 1:], axis=0).min() > 8

    def test_a_case_without_labels_has_no_label_voxels(self, tmp_path):
        image, labels = make_volumes(0)
        assert self.prepared(tmp_path, written_case(tmp_path, image, 0 * labels)).label_voxels.shape == (0, 4)

    def test_a_case_is_prepared_once(self, tmp_path):
        case = written_case(tmp_path, *make_volumes(0))
        first = self.prepared(tmp_path, case)
        times = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
        again = self.prepared(tmp_path, case)
        assert {path: path.stat().st_mtime_ns for path in again.folder.iterdir()} == times

    def test_a_change_of_label_map_or_card_is_seen(self, tmp_path):
        image, labels = make_volumes(0)
        case = written_case(tmp_path, image, labels)
        first = self.prepared(tmp_path, case)
        assert self.prepared(tmp_path, case, spacing_mm=[2, 2, 2]).image.shape == (1, 9, 8, 8)
        assert self.prepared(tmp_path, case, labels=make_labels(3)).folder != first.folder
        write_case(tmp_path, "case", image, labels[::-1].copy())
        os.utime(case.label, ns=(1, 1))
        np.testing.assert_array_equal(self.prepared(tmp_path, case).label[0], labels[::-1])

    def test_half_a_case_is_never_left(self, tmp_path):
        case = written_case(tmp_path, *make_volumes(0))
        (tmp_path / "prepared").write_text("a file")
        with pytest.raises(OutputError, match=r"prepared/\w+ cannot be written"):
            self.prepared(tmp_path, case)
        image, labels = make_volumes(0)
        broken = written_case(tmp_path, image, labels + 7, case="broken")
        with pytest.raises(InputError, match=r"^Case broken"):
            prepare_cases([case, broken], make_card(), None, tmp_path / "work")
        assert len(list((tmp_path / "work").iterdir())) == 1

    def test_a_scan_that_is_gone(self, tmp_path):
        case = written_case(tmp_path, *make_volumes(0))
        case.label.unlink()
        with pytest.raises(InputError, match=r"^[^\n]+case\.nii\.gz cannot be read \(No such file or directory\); [^\n]+\.$"):
            self.prepared(tmp_path, case)

    def test_it_tells_how_far_it_is(self, tmp_path):
        cases = [written_case(tmp_path, *make_volumes(seed), case=f"case_{seed}") for seed in range(2)]
        told = []
        prepare_cases(cases, make_card(), None, tmp_path / "prepared", lambda *done: told.append(done))
        assert told == [(0, 2), (1, 2)]
