"""A guided-attention model with fewer channels in its backbone, as a start of a training.

    python Testing/narrower_backbone.py MODEL WIDTH OUTPUT SCAN [SCAN ...]

Of each group of channels those stay that carry most on the scans: mean square of their activation times the energy of the weights that read them. The
residual connections of a ResNet tie the outputs of a stage together; the channels inside each block are free. For ResNet-10, 18 and 34.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "AttentionSeg"))
from AttentionSegLib.files import read_image
from AttentionSegLib.models import find_model, load_model, save_model
from AttentionSegLib.networks import build_network
from AttentionSegLib.networks.guided_attention import SCALES, GuidedAttention

STAGES = tuple(f"layer{number}" for number in range(1, SCALES + 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="id or folder of a guided-attention model")
    parser.add_argument("width", type=float, help="of the new backbone, as in the card")
    parser.add_argument("output", type=Path, help="folder for the new model")
    parser.add_argument("scans", type=Path, nargs="+", help="of the training")
    given = parser.parse_args()
    model = load_model(find_model(given.model))
    card = deepcopy(model.card.raw)
    card["network"]["arguments"]["backbone_width"] = given.width
    # They are those of the wider network.
    card["accuracy"], card["maps"] = [], []
    arguments = card["network"]["arguments"]
    narrow = build_network(model.card.network, len(model.card.inputs), len(model.card.labels) + 1, arguments).float()
    narrow.load_state_dict(narrowed(model.network.float().eval(), narrow, (patch_of(path, model.card.patch_size) for path in given.scans)))
    save_model(given.output, card, narrow.eval())


def patch_of(path: Path, size: Sequence[int]) -> Tensor:
    """The corner of a scan at its own spacing, [1, C, *size], each channel with mean 0 and deviation 1 before zeros fill the patch."""
    voxels = read_image(path).voxels.astype(np.float32)
    voxels = (voxels - voxels.mean((1, 2, 3), keepdims=True)) / voxels.std((1, 2, 3), keepdims=True)
    patch = np.zeros((len(voxels), *size), np.float32)
    window = (slice(None), *(slice(min(have, want)) for have, want in zip(voxels.shape[1:], size)))
    patch[window] = voxels[window]
    return torch.from_numpy(patch)[None]


def narrowed(network: GuidedAttention, narrow: GuidedAttention, patches: Iterable[Tensor]) -> dict[str, Tensor]:
    """The weights of `network` that a network with a narrower backbone keeps.

    Args:
        network: whose weights are taken.
        narrow: of the same arguments besides the width of the backbone.
        patches: [1, C, *S] that the activations are measured on.
    """
    activity = mean_squares(network, patches)
    state = dict(network.state_dict())

    def keep(name: str, axis: int, channels: Tensor) -> None:
        state[name] = state[name].index_select(axis, channels)

    def keep_norm(name: str, channels: Tensor) -> None:
        for part in ("weight", "bias"):
            keep(f"{name}.{part}", 0, channels)

    before = None
    for number, stage in enumerate(STAGES):
        blocks = network.backbone.get_submodule(stage)
        count = narrow.backbone.get_submodule(stage)[0].conv1.out_channels
        outer = strongest(outer_scores(network, number, activity), count)
        if before is None:
            keep("backbone.conv1.weight", 0, outer)
            keep_norm("backbone.bn1", outer)
        for index, block in enumerate(blocks):
            name = f"backbone.{stage}.{index}"
            inner = strongest(activity[f"{stage}.{index}.bn1"] * energy(block.conv2), count)
            entering = outer if index or before is None else before
            keep(f"{name}.conv1.weight", 0, inner)
            keep(f"{name}.conv1.weight", 1, entering)
            keep_norm(f"{name}.bn1", inner)
            keep(f"{name}.conv2.weight", 0, outer)
            keep(f"{name}.conv2.weight", 1, inner)
            keep_norm(f"{name}.bn2", outer)
            if block.downsample is not None:
                keep(f"{name}.downsample.0.weight", 0, outer)
                keep(f"{name}.downsample.0.weight", 1, entering)
                keep_norm(f"{name}.downsample.1", outer)
        keep(f"pyramid.{number}.0.weight", 1, outer)
        before = outer
    return state


def outer_scores(network: GuidedAttention, number: int, activity: dict[str, Tensor]) -> Tensor:
    """What each channel between the blocks of a stage carries, summed over those who read it."""
    stage, backbone = STAGES[number], network.backbone
    blocks = backbone.get_submodule(stage)
    inside, pyramid = energy(blocks[-1].conv1), network.pyramid[number][0]
    # On one scale with the convolutions of the stage: the few weights of the pyramid would not count otherwise.
    leaving = energy(pyramid) / pyramid.weight.pow(2).mean() * blocks[-1].conv1.weight.pow(2).mean()
    if number + 1 < len(STAGES):
        after = backbone.get_submodule(STAGES[number + 1])[0]
        leaving = leaving + energy(after.conv1) + energy(after.downsample[0])
    scores = activity[f"{stage}.{len(blocks) - 1}"] * leaving
    for index in range(len(blocks) - 1):
        scores = scores + activity[f"{stage}.{index}"] * inside
    return scores if number else scores + activity["bn1"] * energy(blocks[0].conv1)


@torch.no_grad()
def mean_squares(network: GuidedAttention, patches: Iterable[Tensor]) -> dict[str, Tensor]:
    """The mean square of the positive part of each channel, by the name of the module in the backbone that gives it."""
    found: dict[str, Tensor] = {}

    def note(name: str) -> object:
        def hook(_module: nn.Module, _entering: object, output: Tensor) -> None:
            found[name] = found.get(name, 0) + output.clamp(min=0).square().mean((0, *range(2, output.ndim)))

        return hook

    watched = [f"{stage}.{index}{part}" for stage in STAGES for index in range(len(network.backbone.get_submodule(stage))) for part in ("", ".bn1")]
    hooks = [network.backbone.get_submodule(name).register_forward_hook(note(name)) for name in ("bn1", *watched)]
    for patch in patches:
        network(patch)
    for hook in hooks:
        hook.remove()
    return found


def energy(layer: nn.Module) -> Tensor:
    """The sum of squares of the weights that read each channel."""
    return layer.weight.detach().square().sum((0, *range(2, layer.weight.ndim)))


def strongest(scores: Tensor, count: int) -> Tensor:
    """The channels with the largest scores, in their order."""
    return torch.topk(scores, count).indices.sort().values


if __name__ == "__main__":
    main()
