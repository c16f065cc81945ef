"""The pieces of the benchmarks of whole models: accuracy, cohorts, changed scans of a head, and versions. No training is run."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
import torch
from AttentionSegLib.batch import BatchResult
from AttentionSegLib.batch.manifest import Entry
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from AttentionSegLib.models import find_model
from AttentionSegLib.networks import build_network
from benchmarks import accuracy, head_changes, scaling, versions
from tiny_models import save_unet
from torch.testing import assert_close

BRAIN_LABELS = {name: label for label, name in enumerate(head_changes.NAMES, 1)}


class TestAccuracy:
    """What the page on accuracy is made of; the trainings themselves take hours."""

    def test_dice_of_cases_from_a_table_in_any_order(self):
        text = (
            'case,label,metric,value\nb,"Head, left",dice,0.5\na,"Head, left",dice,0.9\nb,Tail,dice,NaN\na,Tail,dice,0.7\na,Tail,hausdorff_95_mm,3\n'
        )
        assert_close(torch.from_numpy(accuracy.case_dice(text)), torch.tensor([0.8, 0.5], dtype=torch.float64))

    @pytest.mark.parametrize("part", accuracy.COMPARISONS)
    def test_networks_that_are_compared_differ_in_what_one_lacks_alone(self, part):
        comparison = accuracy.COMPARISONS[part]
        whole = comparison.document(accuracy.WHOLE, 1)
        arguments = whole["card"]["network"].pop("arguments")
        assert whole["card"].pop("id") == comparison.folder(accuracy.WHOLE, 1)
        for name, changes in comparison.without.items():
            other = comparison.document(name, 1)
            others = other["card"]["network"].pop("arguments")
            assert others == {**arguments, **changes} != arguments
            assert build_network(other["card"]["network"]["name"], 1, 3, others)
            assert other["card"].pop("id") == comparison.folder(name, 1)
            assert other == whole

    @pytest.mark.parametrize("part", [part for part, comparison in accuracy.COMPARISONS.items() if comparison.shipped_seed is not None])
    def test_a_shipped_model_that_stands_for_a_training_was_made_like_it(self, part):
        comparison = accuracy.COMPARISONS[part]
        assert comparison.shipped_seed in comparison.seeds
        document = comparison.document(accuracy.WHOLE, comparison.shipped_seed)
        card = json.loads((find_model(comparison.recipe) / "model.json").read_text(encoding="utf-8"))
        assert card["network"] == document["card"]["network"]
        assert card["overlap"] == document["card"]["overlap"]
        # How often they were validated changes no weights.
        settings = {name: value for name, value in document["training"].items() if name != "validate_every"}
        assert {name: card["training"][name] for name in settings} == settings
        assert "note" not in card["training"]

    def test_no_two_trainings_share_a_folder(self):
        folders = [
            comparison.folder(name, seed)
            for comparison in accuracy.COMPARISONS.values()
            for name in (accuracy.WHOLE, *comparison.without)
            for seed in comparison.seeds
        ]
        assert len(set(folders)) == len(folders)

    def test_a_part_made_anew_takes_its_own_place_on_the_page(self):
        first, second, third = list(accuracy.PARTS)[:3]
        page = accuracy.with_section(accuracy.with_section("", third, "three\n\nby x"), first, "one")
        assert (
            accuracy.with_section(page, second, "two") == f"{accuracy.ABOUT}## {first}\n\none\n\n## {second}\n\ntwo\n\n## {third}\n\nthree\n\nby x\n"
        )
        assert accuracy.with_section(page, third, "new") == f"{accuracy.ABOUT}## {first}\n\none\n\n## {third}\n\nnew\n"

    def test_the_page_is_what_is_written_again(self):
        page = accuracy.PAGE.read_text(encoding="utf-8")
        sections = [section.split("\n\n", 1) for section in page.split("\n## ")[1:]]
        for part, text in sections:
            assert accuracy.with_section(page, part, text.removesuffix("\n")) == page

    def test_an_interval_with_a_sign_says_who_is_better(self):
        assert accuracy.shown({"mean": 0.01, "low": -0.005, "high": 0.02, "n": 3}, 3, sign=True) == "+0.010 (-0.005 to +0.020)"


class TestScaling:
    """The arithmetic from a measured case to a cohort."""

    CASE = scaling.Case(
        "some-model", 10, {1: 1800.0, 2: 3400.0}, {"reading": 0.25, "network": 1.25, "writing": 0.5}, read=2.0, written=4.0, files=6.0
    )

    def test_cohorts(self):
        night, month = scaling.cohorts(self.CASE).splitlines()[2:]
        # 20 000 s of work in 43 200 s; 2 000 000 s in 2 592 000 s.
        assert night == "| 10 000 scans in a night | 6 | 1 | 20 | 40 | 1.4 | 60,000 |"
        assert month == "| 1 000 000 scans in a month | 556 | 1 | 2,000 | 4,000 | 2.3 | 6,000,000 |"

    def test_bottleneck(self):
        text = scaling.bottleneck(self.CASE)
        assert text.startswith("`some-model`: network, 62 % of a worker's time.")
        assert "a worker moves 3 MB/s" in text
        assert "no more than 4,800 cases an hour" in text

    def test_averages_of_a_run(self, tmp_path):
        """Reading counts what was hashed too; waiting for the network counts nowhere."""
        entries = {}
        for name, size in (("a", 1_000_000), ("b", 3_000_000)):
            (tmp_path / name).write_bytes(bytes(size))
            seconds = {"hash": 0.5, "read": 0.5, "wait": 9, "network": 2, "write": 1}
            outputs = {"x.nrrd": 10_000, "y.png": 30_000}
            entries[name] = Entry(name, "done", [str(tmp_path / name)], None, None, "m 1", "0", {}, seconds=seconds, outputs=outputs)
        done = BatchResult(tmp_path, entries, (), 2, ())
        seconds, read, written, files = scaling.averages(done)
        assert seconds == {"reading": 1.0, "network": 2.0, "writing": 1.0}
        assert (read, written, files) == (2.0, 0.04, 2.0)


class TestHeadChanges:
    @staticmethod
    def head() -> tuple[Image, np.ndarray]:
        """Every structure is a column along the superior axis, and the scan is bright from the third to the last but two of 24 slices."""
        reference = np.zeros((8, 8, 24), np.uint8)
        reference[:, :4, 3:-2] = np.arange(1, 33).reshape(8, 4, 1) % 32
        scan = np.zeros((1, *reference.shape), np.float32)
        scan[..., 3:-2] = 1
        return Image(scan, np.diag([2.0, 2.0, 2.0, 1.0])), reference

    def test_the_reference_itself_is_right(self):
        image, reference = self.head()
        score = head_changes.scored(Image(reference[None], image.affine), reference, BRAIN_LABELS)
        assert (score.dice == 1).all()
        assert score.mixed.max() == score.beyond.max() == 0
        assert score.away.max() == 0
        assert score.missing == 0

    def test_sides_that_are_swapped_are_mixed(self):
        image, reference = self.head()
        pairs = head_changes.PAIRS
        swapped = np.where((reference > 0) & (reference <= pairs), reference + pairs, reference)
        swapped[(reference > pairs) & (reference <= 2 * pairs)] -= pairs
        score = head_changes.scored(Image(swapped[None], image.affine), reference, BRAIN_LABELS)
        assert (score.mixed == 1).all()
        assert score.missing == 2 * pairs

    @pytest.mark.parametrize(("voxels", "beyond"), [(1, 0), (3, 2 / 9)])
    def test_a_voxel_at_the_midline_is_on_either_side(self, voxels, beyond):
        left, right = BRAIN_LABELS["Left thalamus"], BRAIN_LABELS["Right thalamus"]
        reference, found = (np.where(np.arange(12)[:, None, None] < edge, right, left) * np.ones((12, 4, 4), int) for edge in (6, 6 - voxels))
        score = head_changes.scored(Image(found[None], np.eye(4)), reference, BRAIN_LABELS)
        assert score.mixed.max() == pytest.approx(voxels / (6 + voxels))
        assert score.beyond.max() == pytest.approx(beyond)

    def test_voxels_that_are_not_judged_count_nowhere(self):
        image, reference = self.head()
        judged = np.where(reference == 31, head_changes.IGNORED, reference)
        score = head_changes.scored(Image(reference[None], image.affine), judged, BRAIN_LABELS)
        assert np.isnan(score.dice[30])
        assert (score.dice[:30] == 1).all()

    @pytest.mark.parametrize("upward", [True, False])
    def test_the_lower_third_goes_whichever_way_the_scan_is_stored(self, upward):
        image, reference = self.head()
        if not upward:
            affine = image.affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 23], [0, 0, 0, 1.0]])
            image, reference = Image(image.voxels[..., ::-1], affine), reference[..., ::-1]
        cut, kept = head_changes.without_lower_third(image, reference)
        assert cut.shape == kept.shape
        assert sorted(cut.corners()[:, 2].round())[0] == pytest.approx(2 * (3 + 19 / 3), abs=2)
        assert sorted(cut.corners()[:, 2].round())[-1] == sorted(image.corners()[:, 2].round())[-1]

    def test_thick_slices_lie_where_the_thin_ones_were(self):
        image, reference = self.head()
        seen, kept = head_changes.thick(image, reference)
        assert seen.spacing == pytest.approx([2, 2, 5])
        assert seen.shape == kept.shape == (8, 8, 9)
        middle = seen.to_ijk(image.to_ras(np.array([2, 2, 12]))).round().astype(int)
        assert kept[tuple(middle)] == reference[2, 2, 12]


class TestVersions:
    def test_a_run_is_measured_in_its_parts(self, tmp_path):
        """This version beside itself, on a scan of noise."""
        save_unet(tmp_path / "model")
        scan = np.random.default_rng(0).normal(size=(1, 16, 16, 16)).astype(np.float32)
        write_map(Image(scan, np.eye(4)), tmp_path / "scan.nii.gz")
        options = argparse.Namespace(scan=tmp_path / "scan.nii.gz", model=tmp_path / "model")
        first, seconds, network, files, beside, gigabytes = versions.segment(versions.THIS, options, tmp_path / "results")
        assert 0 < first < seconds
        assert seconds == pytest.approx(network + files + beside)
        assert 0 < files < seconds
        assert 0.05 < gigabytes < 5
        lines = versions.differences(tmp_path / "results", tmp_path / "results")
        assert any("scan_segmentation.seg.nrrd" in line and "0 of 4096 voxels" in line for line in lines)
        assert any("scan_uncertainty.nrrd" in line and "0.0e+00" in line for line in lines)
