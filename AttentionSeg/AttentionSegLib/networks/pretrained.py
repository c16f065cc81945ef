"""Loading of pretrained weights for the ResNet backbone of the guided-attention network: torchvision's (2D, ImageNet) and MedicalNet's (3D)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import InputError
from .backbones import ResNetBackbone
from .weights_source import local_weights, read_weights

CHANNELS = ("sum", "mean")
FIRST_CONVOLUTION = "conv1.weight"
# The first layers have to match: deeper stages are of no use on features that they were not trained on.
FOUNDATION = ("conv1.", "bn1.", "layer1.")
# A counter of batch norm that is not used with a fixed momentum.
BATCH_COUNTER = "num_batches_tracked"
WHAT_TO_DO = (
    "give weights of a ResNet of the same depth, width and number of dimensions (torchvision's for 2D, MedicalNet's for 3D), plan a network with "
    "their backbone (--backbone resnet50, for example), or train from scratch."
)


@dataclass(frozen=True)
class FitReport:
    """Which tensors of a backbone were loaded from pretrained weights; `str()` gives a paragraph.

    Attributes:
        source: of the weights.
        fitted: names of the backbone's tensors that were loaded.
        missing: those that the source lacks; they kept their initial, random values.
        other_shape: those of another shape in the source; they kept their initial values too.
        unused: names of tensors that only the source has, such as its classifier `fc`.
        first_convolution: input channels of the first convolution in the source and in the backbone.
        channels: how the first convolution was adapted, `sum` or `mean`.
    """

    source: str
    fitted: tuple[str, ...]
    missing: tuple[str, ...]
    other_shape: tuple[str, ...]
    unused: tuple[str, ...]
    first_convolution: tuple[int, int]
    channels: str

    def __str__(self) -> str:
        total = len(self.fitted) + len(self.missing) + len(self.other_shape)
        parts = [f"Pretrained weights from {self.source}: {len(self.fitted)} of {total} tensors of the backbone are filled"]
        before, after = self.first_convolution
        if before != after:
            parts.append(f"{FIRST_CONVOLUTION} was adapted from {before} to {after} input channels by the {self.channels}")
        for names, what in (
            (self.missing, "missing there and left at their initial values"),
            (self.other_shape, "of another shape there and left at their initial values"),
            (self.unused, "found there and not used"),
        ):
            if names:
                parts.append(f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})")
        return "; ".join(parts) + "."


def load_pretrained(
    backbone: ResNetBackbone, source: Mapping[str, object] | str | os.PathLike, channels: str = "sum", sha256: str | None = None
) -> FitReport:
    """Load pretrained weights into a backbone, by name and shape; half precision is cast to the backbone's type.

    The names are those of torchvision and of MedicalNet (Chen et al. 2019), bare or with the `module.` of `DataParallel`, at the top or under
    `state_dict`. MedicalNet's ResNet-18 and -34 have shortcuts without weights: the projections here (`downsample`) then stay random.
    Its stages 3 and 4 are dilated instead of strided; the shapes of their weights are the same.

    The first convolution, W_s for the source's c input channels, is not changed for c channels. Otherwise each of the k channels gets

        sum:   sum_s(W_s) / k    an image copied into all k channels gives the same as in all c before: 1 channel gets the sum over red, green, blue
        mean:  sum_s(W_s) / c    the mean, repeated (Wang et al. 2016, arXiv:1608.00859); such an image gives k / c of that

    Args:
        backbone: on any device; unchanged if an error is raised.
        source: tensors by name, or a file or URL (see `local_weights`).
        channels: `sum` keeps the scale for which the norm after the first convolution was trained; with `mean` the weight of a channel does not
            depend on their number.
        sha256: of the file or URL (see `local_weights`).

    Raises:
        InputError: if `channels` is unknown, the source cannot be downloaded or read, is a ResNet with another number of blocks, or lacks tensors of
            the first convolution and the first stage.
    """
    if channels not in CHANNELS:
        msg = f"channels is '{channels}'; choose one of {', '.join(CHANNELS)}."
        raise InputError(msg)
    name = "the given tensors" if isinstance(source, Mapping) else str(source)
    report, fitting = fit(backbone, source if isinstance(source, Mapping) else read_weights(local_weights(source, sha256)), name, channels)
    backbone.load_state_dict(fitting, strict=False)
    return report


def fit(backbone: ResNetBackbone, weights: Mapping[str, object], name: str, channels: str = "sum") -> tuple[FitReport, dict[str, Tensor]]:
    """The tensors that fit a backbone, which may be on the device `meta`; `name` is that of their source. For the rest see `load_pretrained`."""
    found = _tensors(weights)
    expected = {key: value for key, value in backbone.state_dict().items() if not key.endswith(BATCH_COUNTER)}

    _check_blocks(name, found, expected)
    before, after = _first_convolution(name, found).shape[1], expected[FIRST_CONVOLUTION].shape[1]
    adapted = found if before == after else {**found, FIRST_CONVOLUTION: _adapted(found[FIRST_CONVOLUTION], after, channels)}
    report = FitReport(
        name,
        tuple(key for key in expected if key in found and adapted[key].shape == expected[key].shape),
        tuple(key for key in expected if key not in found),
        tuple(key for key in expected if key in found and adapted[key].shape != expected[key].shape),
        tuple(key for key in found if key not in expected),
        (before, after),
        channels,
    )
    _check_foundation(report, found, expected)
    return report, {key: adapted[key] for key in report.fitted}


def dimensions(weights: Mapping[str, object], name: str) -> int:
    """The dimensions of the images that a pretrained ResNet is for. Raises InputError if the weights, of the source `name`, are not those of one."""
    return _first_convolution(name, _tensors(weights)).ndim - 2


def _tensors(state: Mapping[str, object]) -> dict[str, Tensor]:
    inner = state.get("state_dict")
    named = inner if isinstance(inner, Mapping) else state
    tensors = {str(key).removeprefix("module."): value for key, value in named.items() if isinstance(value, Tensor)}
    return {key: value for key, value in tensors.items() if not key.endswith(BATCH_COUNTER)}


def _first_convolution(source: str, found: Mapping[str, Tensor]) -> Tensor:
    first = found.get(FIRST_CONVOLUTION)
    if first is None or first.ndim < 3:
        msg = f"The weights from {source} are not those of a ResNet: they have no convolution '{FIRST_CONVOLUTION}'; {WHAT_TO_DO}"
        raise InputError(msg)
    return first


def _adapted(weight: Tensor, count: int, channels: str) -> Tensor:
    shared = weight.float().sum(1, keepdim=True) / (count if channels == "sum" else weight.shape[1])
    return shared.repeat_interleave(count, dim=1)


def _check_blocks(source: str, found: Iterable[str], expected: Iterable[str]) -> None:
    """Raise InputError for another number of blocks: a ResNet-34 has all names and shapes of a ResNet-18, but half of its blocks are of no use."""
    theirs, ours = _blocks(found), _blocks(expected)
    for stage in sorted(theirs.keys() & ours.keys()):
        if theirs[stage] != ours[stage]:
            wrong = f"{theirs[stage]} blocks in '{stage}' there and {ours[stage]} here"
            msg = f"The weights from {source} are of a ResNet of another depth, with {wrong}; {WHAT_TO_DO}"
            raise InputError(msg)


def _blocks(names: Iterable[str]) -> Counter[str]:
    blocks = {tuple(name.split(".")[:2]) for name in names if name.startswith("layer")}
    return Counter(block[0] for block in blocks)


def _check_foundation(report: FitReport, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    missing = [name for name in report.missing if name.startswith(FOUNDATION)]
    differing = [name for name in report.other_shape if name.startswith(FOUNDATION)]
    if not missing and not differing:
        return
    if differing:
        there, here = (" x ".join(map(str, tensors[differing[0]].shape)) for tensors in (found, expected))
        wrong = f"'{differing[0]}' is {there} there and {here} here"
    else:
        wrong = f"they have no '{missing[0]}'"
    msg = f"The weights from {report.source} do not fit this network: {wrong}; {WHAT_TO_DO}"
    raise InputError(msg)
