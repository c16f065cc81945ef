"""The pieces of the benchmark of the networks: what is compared is the same, and what is counted, written and printed is right. Nothing is timed."""

from __future__ import annotations

import json
import math
import sys

import pytest
import torch
from AttentionSegLib.networks.position_attention import PositionAttention
from benchmarks.contenders import ACCELERATED, GUIDED, MONAI_BASIC_UNET, UNET, Contender, MatrixAttention, Setting, attention_pass
from benchmarks.memory import peak_of_this_process
from benchmarks.networks import comparisons, parse
from benchmarks.operations import gigaflops, kernel_among, shares
from benchmarks.side_by_side import NetworkResult, check, relative_difference
from benchmarks.table import Row, cpu_model, markdown, write_rows
from benchmarks.timing import medians
from torch import nn
from torch.testing import assert_close

CPU = Setting(torch.device("cpu"), torch.float32)
GPU_BF16 = Setting(torch.device("cuda"), torch.bfloat16)
MEGABYTES = 64


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
