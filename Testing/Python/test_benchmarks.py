"""The pieces of the benchmark of the networks: what is compared is the same, and what is counted, written and printed is right. Nothing is timed."""

from __future__ import annotations

import argparse
import json
import math
import sys

import numpy as np
import pytest
import torch
from AttentionSegLib.batch import BatchResult
from AttentionSegLib.batch.manifest import Entry
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from AttentionSegLib.models import find_model
from AttentionSegLib.networks import build_network
from AttentionSegLib.networks.position_attention import PositionAttention
from benchmarks import accuracy, head_changes, scaling, versions
from benchmarks.contenders import ACCELERATED, GUIDED, MONAI_BASIC_UNET, UNET, Contender, MatrixAttention, Setting, attention_pass
from benchmarks.memory import peak_of_this_process
from benchmarks.networks import comparisons, parse
from benchmarks.operations import gigaflops, kernel_among, shares
from benchmarks.side_by_side import NetworkResult, check, relative_difference
from benchmarks.table import Row, cpu_model, markdown, write_rows
from benchmarks.timing import medians
from tiny_models import save_unet
from torch import nn
from torch.testing import assert_close

CPU = Setting(torch.device("cpu"), torch.float32)
GPU_BF16 = Setting(torch.device("cuda"), torch.bfloat16)
MEGABYTES = 64
BRAIN_LABELS = {name: label for label, name in enumerate(head_changes.NAMES, 1)}


class TestOptions:
    def test_defaults(self):
        options = parse([])
        assert (options.quick, options.threads, options.json) == (False, None, None)

    def test_all(self, tmp_path):
        options = parse(["--quick", "--threads", "3", "--json", str(tmp_path / "rows.json")])
        assert (options.quick, options.threads, options.json) == (True, 3, tmp_path / "rows.json")

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--threads", "0"], "--threads is 0; give a whole number of at least 1."),
            (["--json", "nowhere/rows.json"], "--json is nowhere/rows.json, in a folder that is not there; make it first."),
        ],
    )
    def test_refused_before_anything_is_measured(self, arguments, sentence, capsys):
        with pytest.raises(SystemExit):
            parse(arguments)
        assert sentence in capsys.readouterr().err


class TestRows:
    def test_json(self, tmp_path):
        rows = [Row("a against b", "64x64", "forward seconds", 0.5, 2.0), Row("a against b", "64x64", "forward peak extra MB", 0.0, 2.0)]
        write_rows(rows, tmp_path / "rows.json")
        common = {"name": "a against b", "size": "64x64"}
        assert json.loads((tmp_path / "rows.json").read_text()) == [
            {**common, "metric": "forward seconds", "ours": 0.5, "other": 2.0, "ratio": 4.0},
            {**common, "metric": "forward peak extra MB", "ours": 0.0, "other": 2.0, "ratio": None},
        ]

    def test_every_variant_is_set_against_the_plain_networks_of_its_input(self):
        guided, unet = (64, 64), (32, 32, 32)
        results = [
            NetworkResult(Contender(GUIDED), guided, 4.0, 40.0, 1.0, None),
            NetworkResult(Contender(GUIDED, ACCELERATED), guided, 2.0, 10.0, 1.0, 1e-6),
            NetworkResult(Contender(UNET), unet, 6.0, None, 1.0, None),
            NetworkResult(Contender(UNET, ACCELERATED), unet, 3.0, None, 1.0, 1e-6),
            NetworkResult(Contender(MONAI_BASIC_UNET), unet, 9.0, None, 1.0, None),
        ]
        assert [(row.name, row.size, row.metric, row.ratio) for row in comparisons(results, CPU)] == [
            ("guided attention, accelerated against guided attention, plain, CPU, float32", "64x64", "forward seconds", 2.0),
            ("guided attention, accelerated against guided attention, plain, CPU, float32", "64x64", "forward peak extra MB", 4.0),
            ("Attention U-Net, accelerated against Attention U-Net, plain, CPU, float32", "32x32x32", "forward seconds", 2.0),
            ("Attention U-Net, accelerated against MONAI BasicUNet, CPU, float32", "32x32x32", "forward seconds", 3.0),
        ]


class TestText:
    def test_markdown(self):
        lines = [["a", 3, 0.0123456], ["b", None, 1234.5]]
        assert markdown(["name", "n", "s"], lines) == "| name | n | s |\n| --- | --- | --- |\n| a | 3 | 0.0123 |\n| b | - | 1234 |"

    def test_cpu_model(self):
        assert cpu_model("processor\t: 0\nmodel\t\t: 49\nmodel name\t: AMD EPYC 7R32\nflags\t: fpu\n\nmodel name\t: other\n") == "AMD EPYC 7R32"
        assert cpu_model("processor\t: 0\nBogoMIPS\t: 243.75\n") is None


class TestGigaflops:
    def test_convolution(self):
        layer = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.PReLU())
        assert gigaflops(layer, (1, 2, 4, 5)) == 2 * (2 * 9 * 3) * 20 / 1e9
        assert layer[0].weight.device.type == "cpu"

    def test_position_attention_counts_as_its_equations(self):
        """Though the kernel would take queries and keys of all 64 channels."""

        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.attention = PositionAttention(2, 64)

            def forward(self, x):
                return self.attention(x)[0]

        network, positions = Attention(), 6 * 7
        projections = 2 * 64 * (8 + 8 + 64) * positions
        assert gigaflops(network, (1, 64, 6, 7)) == (projections + 2 * positions**2 * (8 + 64)) / 1e9
        assert type(network.attention) is PositionAttention


@pytest.mark.parametrize("size", [(6, 7), (3, 4, 5)])
class TestMatrixAttention:
    def test_is_position_attention(self, size):
        torch.manual_seed(1)
        ours = PositionAttention(len(size), 16).double()
        nn.init.constant_(ours.gamma, 0.7)
        matrix = MatrixAttention(len(size), 16).double()
        matrix.load_state_dict(ours.state_dict())
        x = torch.randn(2, 16, *size, dtype=torch.float64)
        (expected, features), (computed, of_matrix) = ours(x), matrix(x)
        assert (expected - x).abs().max() > 0.1
        assert_close(computed, expected)
        assert_close(of_matrix.received(), features.received())
        gradients = [
            torch.autograd.grad(output.square().sum(), list(module.parameters())) for output, module in ((expected, ours), (computed, matrix))
        ]
        assert_close(*gradients)

    def test_passes_have_the_same_weights_and_input(self, size):
        for backward in (False, True):
            ours, matrix = (attention_pass(kind, size, backward, CPU)() for kind in (PositionAttention, MatrixAttention))
            assert len(ours) == len(matrix) == 1 + backward
            for computed, expected in zip(ours, matrix):
                assert computed.shape == (1, 64, *size)
                assert_close(computed, expected, rtol=0, atol=1e-4)


class TestDifference:
    def test_is_relative_to_the_spread(self):
        expected = torch.tensor([100.0, 102.0, 104.0])
        assert relative_difference(expected + torch.tensor([0.0, -0.5, 0.0]), expected) == 0.25

    @pytest.mark.parametrize("difference", [2e-4, math.nan])
    def test_too_large_ends_the_program(self, difference):
        with pytest.raises(SystemExit, match="the network differs by"):
            check("the network", difference, 1e-4, CPU)

    def test_rounding_passes(self):
        check("the network", 1e-4, 1e-4, CPU)
        check("the network", 1e-2, 1e-4, GPU_BF16)


class TestTimes:
    def test_runs_take_turns(self):
        turns: list[str] = []
        seconds = medians([lambda: turns.append("a"), lambda: turns.append("b")], 2, CPU.device)
        assert turns == ["a", "b"] * 3
        assert len(seconds) == 2
        assert min(seconds) > 0

    def test_shares_by_kind(self):
        times = {
            "aten::mkldnn_convolution": 40.0,
            "aten::conv3d": 2.0,
            "aten::_scaled_dot_product_flash_attention_for_cpu": 20.0,
            "aten::native_batch_norm": 10.0,
            "aten::cat": 8.0,
            "aten::upsample_trilinear3d": 6.0,
            "aten::max_pool3d_with_indices": 5.0,
            "aten::clamp_min_": 4.0,
            "aten::copy_": 3.0,
            "aten::empty": 2.0,
        }
        assert shares(times) == {
            "convolution": 0.42,
            "attention": 0.2,
            "upsampling": 0.06,
            "concatenation": 0.08,
            "pooling": 0.05,
            "normalization": 0.1,
            "copying and padding": 0.03,
            "pointwise": 0.04,
            "other": 0.02,
        }

    @pytest.mark.parametrize(
        ("names", "kernel"),
        [
            (["void pytorch_flash::flash_fwd_kernel<pytorch_flash::Flash_fwd_kernel_traits<64, 128>>(params)"], "flash"),
            (["fmha_cutlassF_f32_aligned_64x64_rf_sm80(PyTorchMemEffAttention::AttentionKernel)"], "efficient"),
            (["cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7"], "cuDNN"),
            (["cudnn::winograd", "void softmax_warp_forward<float>"], "math"),
            (["aten::scaled_dot_product_attention", "aten::_scaled_dot_product_flash_attention_for_cpu"], "flash"),
        ],
    )
    def test_kernel(self, names, kernel):
        assert kernel_among(names) == kernel


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured on Linux")
class TestMemory:
    @staticmethod
    def allocate() -> None:
        torch.ones(MEGABYTES * 10**6 // 4)

    def test_sees_what_was_freed_before_the_end(self):
        assert peak_of_this_process(lambda: self.allocate, torch.get_num_threads()) == pytest.approx(MEGABYTES, rel=0.1)

    def test_does_not_see_what_was_before(self):
        def prepare():
            self.allocate()
            return lambda: None

        assert peak_of_this_process(prepare, torch.get_num_threads()) < 0.1 * MEGABYTES


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
