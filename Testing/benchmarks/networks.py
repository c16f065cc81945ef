"""Time and memory of the networks, of their position attention, and of MONAI's networks beside them, measured in one run.

    python Testing/benchmarks/networks.py [--quick] [--published] [--threads N] [--json FILE]

Prints Markdown tables. Times are medians of runs that take turns; `memory.py` says how memory is measured, `operations.py` what counts as an
operation. A GPU, where there is one, is measured after the CPU: in float32 (without TF32) and in bfloat16 by autocast. Ends with an error if
position attention differs from its whole matrix, or an accelerated network from the plain one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

import torch
from AttentionSegLib.inference.openvino_network import openvino_available
from AttentionSegLib.networks.position_attention import PositionAttention
from AttentionSegLib.user_folders import CACHE_VARIABLE
from benchmarks.contenders import (
    ACCELERATED,
    ATTENTION_CHANNELS,
    GUIDED,
    MONAI_ATTENTION_UNET,
    MONAI_BASIC_UNET,
    PLAIN,
    PUBLISHED,
    UNET,
    Contender,
    Setting,
    attention_pass,
    prediction,
)
from benchmarks.operations import attention_kernel, shares_of_time
from benchmarks.side_by_side import MATRIX, NetworkResult, matrix_rate, measure_attention, measure_networks
from benchmarks.table import Row, machine, markdown, ratio, write_rows


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        repeats: runs that a median is taken of.
        attention: grids of positions.
        guided, unet, published: inputs of the guided network, of Attention U-Net and MONAI's networks, and of the guided network as published.
    """

    repeats: int
    attention: tuple[tuple[int, ...], ...]
    guided: tuple[int, int]
    unet: tuple[int, int, int]
    published: tuple[int, int]


FULL = Plan(7, ((64, 64), (96, 96), (128, 128), (24, 24, 24)), (256, 256), (96, 96, 96), (512, 512))
QUICK = Plan(3, ((48, 48),), (64, 64), (32, 32, 32), (128, 128))
# A pass takes a minute.
PUBLISHED_REPEATS = 1


def main() -> None:
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.allow_tf32 = False
    plan = QUICK if options.quick else FULL
    print(f"Measured on {machine()}.")
    if options.published:
        tabulate_published(plan)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE_VARIABLE] = folder
        rows = [row for setting in settings() for row in measure(plan, setting)]
    if options.json:
        write_rows(rows, options.json)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small inputs and few repeats: within a minute on two cores")
    parser.add_argument("--published", action="store_true", help="measure one slice of guided attention as it was published, and nothing else")
    parser.add_argument("--threads", type=int, help="threads of torch on the CPU (default: torch's own choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the pairs of numbers that are set side by side")
    options = parser.parse_args(arguments)
    if options.threads is not None and options.threads < 1:
        parser.error(f"--threads is {options.threads}; give a whole number of at least 1.")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json is {options.json}, in a folder that is not there; make it first.")
    return options


def settings() -> list[Setting]:
    on_gpu = [Setting(torch.device("cuda"), dtype) for dtype in (torch.float32, torch.bfloat16)]
    return [Setting(torch.device("cpu"), torch.float32), *(on_gpu if torch.cuda.is_available() else [])]


def measure(plan: Plan, setting: Setting) -> Iterator[Row]:
    """All tables for one device and precision, printed as they are ready. Gives the pairs of numbers side by side."""
    print(f"\n## {setting}", flush=True)
    yield from tabulate_attention(plan, setting)
    rate = matrix_rate(plan.repeats, setting)
    results = [
        *measure_networks([GUIDED], plan.guided, plan.repeats, setting),
        *measure_networks([UNET, MONAI_ATTENTION_UNET, MONAI_BASIC_UNET], plan.unet, plan.repeats, setting),
    ]
    tabulate_variants(results, setting)
    tabulate_networks(results, rate)
    if setting.device.type == "cpu":
        tabulate_shares(plan, setting)
    yield from comparisons(results, setting)


def tabulate_attention(plan: Plan, setting: Setting) -> Iterator[Row]:
    """Position attention against its whole matrix."""
    lines = []
    for size in plan.attention:
        for name, backward in {"forward": False, "forward + backward": True}.items():
            result = measure_attention(size, backward, plan.repeats, setting)
            pairs = {
                f"{name} seconds": (result.ours_seconds, result.other_seconds),
                f"{name} peak extra MB": (result.ours_megabytes, result.other_megabytes),
            }
            lines.append([by(size), name, *(value for pair in pairs.values() for value in (*pair, ratio(*pair)))])
            yield from rows(f"position attention against the whole matrix, {setting}", size, pairs)
    kernel = attention_kernel(attention_pass(PositionAttention, plan.attention[0], False, setting), setting.device)
    print("\n### Position attention against the whole N x N matrix\n")
    print(f"{ATTENTION_CHANNELS} channels. The kernel that worked: {kernel}.\n")
    headings = ["positions", "pass", "ours, s", "matrix, s", "ratio", "ours, peak extra MB", "matrix, peak extra MB", "ratio"]
    print(markdown(headings, lines), flush=True)


def tabulate_published(plan: Plan) -> None:
    """A slice in the network of Sinha and Dolz (2020) with ResNet-101, with our position attention and with the whole matrix of the paper's code."""
    for setting in settings():
        results = measure_networks([PUBLISHED], plan.published, PUBLISHED_REPEATS, setting)
        lines = [[by(result.size), result.contender.variant, result.seconds, result.megabytes, result.difference] for result in results]
        print(f"\n{setting}\n\n{markdown(['slice', 'position attention', 'forward, s', 'peak extra MB', 'largest difference'], lines)}", flush=True)


def tabulate_variants(results: list[NetworkResult], setting: Setting) -> None:
    """Each variant of our networks against the plain one."""
    plain = {result.contender.network: result.seconds for result in results if result.contender.variant == PLAIN}
    lines = []
    for result in results:
        name, variant, seconds = result.contender.network, result.contender.variant, result.seconds
        if variant != PLAIN:
            lines.append([name, by(result.size), variant, plain[name], seconds, ratio(seconds, plain[name]), result.difference])
    print("\n### The same network, arranged for inference\n")
    print(markdown(["network", "input", "variant", "plain, s", "variant, s", "ratio", "largest difference / spread of logits"], lines))
    if setting.device.type == "cpu" and not openvino_available():
        print("\nOpenVINO is not installed; `pip install openvino` adds its lines.")


def tabulate_networks(results: list[NetworkResult], rate: float) -> None:
    """All networks, and the share of the machine's rate that they reach."""
    lines = []
    for result in results:
        speed = result.gigaflops / result.seconds
        lines.append([result.contender, by(result.size), result.gigaflops, result.seconds, speed, f"{speed / rate:.0%}", result.megabytes])
    print("\n### Beside MONAI's networks\n")
    print(f"A product of two {MATRIX}x{MATRIX} matrices runs at {rate:.0f} GFLOP/s.\n")
    print(markdown(["network", "input", "GFLOP", "forward, s", "GFLOP/s", "share of the product's", "peak extra MB"], lines), flush=True)


def tabulate_shares(plan: Plan, setting: Setting) -> None:
    """Where the time of the accelerated networks goes."""
    sizes = {GUIDED: plan.guided, UNET: plan.unet}
    shares = [shares_of_time(prediction(Contender(name, ACCELERATED), size, setting)) for name, size in sizes.items()]
    print("\n### Where the time of the accelerated networks goes\n")
    print(markdown(["operation", *sizes], ([kind, *(f"{share[kind]:.1%}" for share in shares)] for kind in shares[0])), flush=True)


def comparisons(results: list[NetworkResult], setting: Setting) -> Iterator[Row]:
    """Each variant of our networks against the plain one, and against MONAI's with the same input."""
    for ours in results:
        for other in results:
            if ours.contender.variant != PLAIN and other.contender.variant == PLAIN and other.size == ours.size:
                pairs = {"forward seconds": (ours.seconds, other.seconds), "forward peak extra MB": (ours.megabytes, other.megabytes)}
                yield from rows(f"{ours.contender} against {other.contender}, {setting}", ours.size, pairs)


def rows(name: str, size: Sequence[int], pairs: dict[str, tuple[float | None, float | None]]) -> Iterator[Row]:
    """A row for each metric that was measured."""
    return (Row(name, by(size), metric, *pair) for metric, pair in pairs.items() if None not in pair)


def by(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


if __name__ == "__main__":
    main()
