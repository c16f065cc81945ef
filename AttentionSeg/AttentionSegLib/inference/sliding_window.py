"""Sliding-window inference over a volume of any size: overlapping patches, blended by Gaussian weights, for logits and attention maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from ..errors import OutOfMemory, is_out_of_memory
from ..networks.contract import AttentionNetwork, with_maps
from .blend import Blend, Window, patch_windows
from .devices import ran_out
from .probe import Probe
from .progress import Progress
from .slices import VolumeOrSlices


@dataclass(frozen=True)
class Placement:
    """The devices and the batch size of a run.

    Attributes:
        device: where the network runs.
        sum_device: where the patches are added up.
        batch: patches at a time.
        note: the sentence for the user when this is not the requested placement.
    """

    device: torch.device
    sum_device: torch.device
    batch: int
    note: str = ""


@dataclass(frozen=True, eq=False)
class VolumeOutput:
    """The outputs of a network for a whole volume, float32.

    Attributes:
        logits: [classes, I, J, K].
        attention: maps by name, each [1, I/s, J/s, K/s].
        uncertainty: [1, I, J, K], or None for a network that has none of its own.
        probe: features of position attention, patch by patch; empty without position maps.
    """

    logits: Tensor
    attention: dict[str, Tensor]
    uncertainty: Tensor | None
    probe: Probe


def placements(device: torch.device, batch: int, memory_limit_gb: float | None = None) -> list[Placement]:
    """The placements to try in turn when `device` runs out of memory, or reaches its limit."""
    cpu, full = torch.device("cpu"), ran_out(device, memory_limit_gb)
    tries = [Placement(device, device, batch)]
    if batch > 1:
        note = f"{full} with {batch} patches at a time; one at a time was used instead."
        tries.append(Placement(device, device, 1, note))
    if device.type != "cpu":
        tries += [
            Placement(device, cpu, 1, f"{full}; patches were computed there one at a time and added up in main memory."),
            Placement(cpu, cpu, 1, f"{full} even for a single patch; the CPU was used instead."),
        ]
    return tries


def run_with_fallback(
    network: AttentionNetwork,
    volume: VolumeOrSlices,
    patch: Sequence[int],
    overlap: float,
    names: Sequence[str],
    tries: Sequence[Placement],
    progress: Progress,
) -> tuple[VolumeOutput, Placement]:
    """`run`, and when memory runs out, again with the next placement.

    Args:
        tries: placements in order.
        names, others: see `run`.

    Returns:
        The output and the placement that worked.

    Raises:
        OutOfMemory: if the last placement runs out of memory as well.
    """
    for placement in tries:
        try:
            return run(network, volume, patch, overlap, names, placement, progress), placement
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # Outside the exception handler, whose traceback keeps alive the tensors that have to be freed.
        _empty_cache(placement.device)
    size = " x ".join(map(str, volume.shape[1:]))
    msg = f"There is not enough memory on {tries[-1].device} for a volume of {size} working voxels; close other programs or give a smaller region."
    raise OutOfMemory(msg)


@torch.inference_mode()
def run(
    network: AttentionNetwork,
    volume: VolumeOrSlices,
    patch: Sequence[int],
    overlap: float,
    names: Sequence[str],
    placement: Placement,
    progress: Progress,
) -> VolumeOutput:
    """Run a network over a volume.

    Args:
        network: with `attention_strides` and `total_stride`, called as `network(x, return_attention=names)`.
        volume: [C, I, J, K] on the CPU; each size at least the patch's and a multiple of the network's total stride.
        patch: voxels of a patch, multiples of the total stride.
        overlap: share of a patch that the next one covers again, 0..1.
        names: of the requested attention maps.
        placement: devices and batch size.
        progress: called for each batch of patches; may stop the run between two.

    Returns:
        The output, its tensors on `placement.sum_device`.
    """
    windows = windows_over(volume.shape[1:], patch, overlap, network.total_stride)
    # The weights of coarser outputs are computed from those of finer ones.
    ordered = sorted(names, key=lambda name: prod(network.attention_strides[name]))
    blend = Blend(volume.shape[1:], windows, placement.device, placement.sum_device)
    probe = Probe(network.attention_strides)
    if isinstance(network, nn.Module):
        network.to(placement.device)
    for done in range(0, len(windows), placement.batch):
        progress.step(done / len(windows))
        group = windows[done : done + placement.batch]
        batch = torch.stack([volume[(slice(None), *window)] for window in group]).to(placement.device)
        # Always "cuda": before torch 2.5, autocast rejects the name "mps" even when disabled.
        with torch.autocast("cuda", enabled=placement.device.type == "cuda"):
            output = with_maps(network, batch, ordered)
        probe.keep(output.positions, group)
        blend.add("logits", output.logits, group)
        if output.uncertainty is not None:
            blend.add("uncertainty", output.uncertainty, group)
        for name in ordered:
            blend.add(name, output.attention[name], group)
    means = blend.means()
    return VolumeOutput(means.pop("logits"), {name: means[name] for name in ordered}, means.pop("uncertainty", None), probe)


def windows_over(shape: Sequence[int], patch: Sequence[int], overlap: float, total_stride: Sequence[int]) -> list[Window]:
    """The windows of the patches of a run in a volume (see `run`)."""
    return patch_windows(shape, patch, [_interval(size, overlap, stride) for size, stride in zip(patch, total_stride)])


def _empty_cache(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _interval(patch: int, overlap: float, stride: int) -> int:
    """Voxels from one patch to the next: a multiple of the stride, so that every patch of a coarse map falls on whole voxels of it."""
    return max(stride, int(patch * (1 - overlap)) // stride * stride)
