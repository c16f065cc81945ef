"""Why single positions receive most of the attention: where they lie, how large the logits are, and what the same queries and keys give otherwise.

python Testing/benchmarks/sinks.py SCAN [SCAN ...] [--model MODEL]

For the patch in the middle of each scan and every position attention of the network, by a sample of its rows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.files import read_image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.inference.backends import prepare_backend
from AttentionSegLib.inference.blend import patch_windows
from AttentionSegLib.inference.preprocessing import prepare, working_grid
from AttentionSegLib.networks.position_attention import PositionAttention, PositionFeatures

ROWS = 512
# Positions that receive this many times the average are called sinks here.
SINK = 20.0
COLUMNS = (
    "map",
    "largest received",
    "share to the top 1 %",
    "sinks",
    "of them filling",
    "at a face of the patch",
    "where the scan is flat",
    "length of their keys / median",
    "their intensity, percentile",
    "std of the logits",
    "of it shared by all rows",
    "largest, shared part removed",
    "largest, logits / sqrt(d)",
)


def received(logits: Tensor) -> Tensor:
    """Times the average, from rows [R, N]."""
    return torch.softmax(logits, -1).mean(0) * logits.shape[1]


def rows_of(predictor: Predictor, scan: Path) -> list[list[str]]:
    """A row for each position attention, of the patch in the middle of a scan."""
    card, patch = predictor.model.card, predictor.patch
    network = prepare_backend("torch", predictor.model, patch).network
    image = read_image(scan)
    grid = working_grid(image, None, card, patch, network.total_stride)
    volume = prepare(image, None, grid, card)
    windows = patch_windows(grid.shape, patch, [max(1, size // 2) for size in patch])
    window = windows[len(windows) // 2]
    names = [name for name in network.attention_strides if name.startswith("position")]
    x = volume[(slice(None), *window)][None]
    with torch.inference_mode():
        output = network(x, return_attention=names)
        positions = output.positions
    stride = network.attention_strides[names[0]]
    index = np.indices(positions[names[0]].size)
    low, high = (np.array(ends) for ends in zip(*grid.field))
    voxel = index * np.array(stride)[:, None, None, None] + np.array([part.start for part in window])[:, None, None, None]
    filling = ((voxel < low[:, None, None, None]) | (voxel >= high[:, None, None, None])).any(0).ravel()
    last = np.array(positions[names[0]].size)[:, None, None, None] - 1
    face = ((index == 0) | (index == last)).any(0).ravel()
    mean, square = (torch.nn.functional.avg_pool3d(values, 5, 1, 2, count_include_pad=False) for values in (x[:, :1], x[:, :1] ** 2))
    spread = torch.nn.functional.avg_pool3d((square - mean**2).clamp(0).sqrt(), stride)[0, 0].ravel().numpy()
    flat = spread < 0.1 * np.median(spread[spread > 0])
    coarse = torch.nn.functional.avg_pool3d(x[:, :1], stride)[0, 0].ravel().numpy()
    percentile = 100 * coarse.argsort().argsort() / len(coarse)
    _print_effect(network, x, output.logits)
    return [_row(name, positions[name], filling, face, flat, percentile) for name in names]


def _print_effect(network: torch.nn.Module, x: Tensor, logits: Tensor) -> None:
    """How much of what a module gives comes from other positions, and how many voxels get another label without all of it."""
    modules = [module for module in network.modules() if isinstance(module, PositionAttention)]
    shares: list[float] = []

    def compare(_module: torch.nn.Module, inputs: tuple[Tensor], output: tuple[Tensor, PositionFeatures]) -> None:
        taken_up = output[0] - inputs[0]
        shares.append(float(taken_up.flatten(2).std(2).mean() / inputs[0].flatten(2).std(2).mean()))

    hooks = [module.register_forward_hook(compare) for module in modules]
    with torch.inference_mode():
        network(x)
        for hook, module in zip(hooks, modules):
            hook.remove()
            module.gamma.zero_()
        without = network(x).argmax(1)
    labels = logits.argmax(1)
    told = ", ".join(f"{100 * share:.1f} %" for share in shares)
    print(f"spread over the positions of gamma (S v), of that of x: {told}")
    print(f"with gamma = 0, {int((without != labels).sum())} voxels get another label; {int((labels > 0).sum())} have one")


def _row(name: str, features: PositionFeatures, filling: np.ndarray, face: np.ndarray, flat: np.ndarray, percentile: np.ndarray) -> list[str]:
    queries, keys = features.queries[0].float(), features.keys[0].float()
    queries = queries[torch.linspace(0, len(queries) - 1, ROWS).long()]
    logits = queries @ keys.T
    found = received(logits)
    sinks = (found > SINK).numpy()
    shared = queries.mean(0) @ keys.T
    top = found.sort(descending=True).values[: max(1, len(found) // 100)].sum() / found.sum()

    def share(mask: np.ndarray) -> str:
        return f"{100 * mask[sinks].mean():.0f} % of {100 * mask.mean():.0f} %" if sinks.any() else ""

    return [
        name,
        f"{found.max():.0f}",
        f"{100 * top:.0f} %",
        f"{sinks.sum()} of {len(sinks)}",
        share(filling),
        share(face),
        share(flat),
        f"{keys.norm(dim=1)[found > SINK].mean() / keys.norm(dim=1).median():.1f}",
        f"{percentile[sinks].mean():.0f}" if sinks.any() else "",
        f"{logits.std(1).mean():.2f}",
        f"{100 * shared.var() / logits.var(1).mean():.0f} %",
        f"{received((queries - queries.mean(0)) @ keys.T).max():.0f}",
        f"{received(logits / queries.shape[1] ** 0.5).max():.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", nargs="+", type=Path, metavar="SCAN")
    parser.add_argument("--model", default="hippocampus-mr-guided-attention", help="id or folder of a guided-attention model (default: %(default)s)")
    options = parser.parse_args()
    predictor = Predictor(options.model, "cpu", "torch")
    for name, module in predictor.model.network.named_modules():
        if isinstance(module, PositionAttention):
            print(f"{name}: gamma {module.gamma.item():.3f}, {module.query.weight.shape[0]} dimensions of queries and keys")
    for scan in options.scans:
        print(f"\n{scan.name}")
        rows = rows_of(predictor, scan)
        print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
