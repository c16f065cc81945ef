"""Multi-scale self-guided attention (Sinha & Dolz 2020, figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .backbones import RESNETS, ResNetBackbone
from .contract import Network, RegionLoss, Variant
from .guided_block import SCALES, GuidedArguments, RefinementStep
from .layers import are_counts, conv_norm_prelu, convolution, crop, pad_to_multiple, resize
from .output import NetworkOutput, Pair, ReturnAttention, wanted_maps
from .position_attention import PositionFeatures
from .scale_spread import ScaleSpread
from .supervision import added, deep_supervision, squared_distances

# Voxels of the backbone's first stage per voxel of the encoder-decoder's latent code, and per voxel of the last stage.
CODE_STRIDE = 4
LAST_STAGE_STRIDE = 8
# beta and gamma of the paper's loss.
GUIDED_WEIGHT, RECONSTRUCTION_WEIGHT = 0.25, 0.1
# Sizes for plans: depth and width of the backbone and channels of the attention by type of device, and strides of the stem, best first.
PLANNED_SIZES = {"cpu": (18, 0.25, 16), "gpu": (18, 1.0, 64)}
PLANNED_STRIDES = (2, 4)
# As in the paper, except for the depth of the backbone: stride of the stem, factor on the channels of the backbone, channels of the attention.
PUBLISHED = (4, 1.0, 64)


def _variant(stem_stride: int, backbone: int, backbone_width: float, width: int, norm: str = "instance") -> Variant:
    sizes = {"backbone": backbone, "backbone_width": backbone_width, "stem_stride": stem_stride, "width": width}
    return Variant(lambda patch, _spacing: {"spatial_dims": len(patch), **sizes, "norm": norm}, CODE_STRIDE * stem_stride)


class GuidedAttention(Network):
    """ResNet features of four scales, each refined by position and channel attention guided by a shared encoder-decoder.

        F_MS = conv(concat(F'_1..F'_4)),   input_1 = concat(F'_s, F_MS),   input_m+1 = concat(F'_s, A_m * F_MS)
        A_m  = conv1((PAM(input_m) + CAM(input_m)) * conv3(decoder(encoder(input_m)))),   P_s = conv1(A_M),   prediction = mean of the P_s

    All of it runs on the grid of the backbone's first stage. Scales count from 1, the finest, and steps from 1. The maps are, on that grid,
    `guided_scale<s>_step<m>`, the mean over channels of abs(A_m), and `position_scale<s>_step<m>`, the position attention received (1: average).

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: classes, background included.
        arguments: those of `GuidedArguments`.

    Raises:
        ValueError: if an argument is not one of these.
    """

    size_arguments: ClassVar = ("backbone", "stem_stride", "width")
    # Pretrained weights were trained with batch norm.
    backbones: ClassVar = {f"resnet{depth}": _variant(PUBLISHED[0], depth, *PUBLISHED[1:], "batch") for depth in RESNETS}

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, **arguments: Any) -> None:
        super().__init__()
        given = GuidedArguments(**arguments)
        width, stem_stride, norm = given.width, given.stem_stride, given.norm
        _check_arguments(spatial_dims, width, given.steps)
        self.spatial_dims, self.stem_stride, self.has_positions = spatial_dims, stem_stride, given.position
        self.backbone = ResNetBackbone(spatial_dims, in_channels, given.backbone, stem_stride, given.backbone_width, norm)
        self.pyramid = nn.ModuleList(conv_norm_prelu(spatial_dims, channels, width, 1, norm) for channels in self.backbone.channels)
        self.fuse = nn.Sequential(
            conv_norm_prelu(spatial_dims, SCALES * width, width, 3, norm),
            conv_norm_prelu(spatial_dims, width, width, 3, norm),
            conv_norm_prelu(spatial_dims, width, width, 1, norm),
        )
        self.steps = nn.ModuleList(RefinementStep(spatial_dims, given) for _ in range(given.steps))
        self.first_heads = nn.ModuleList(convolution(spatial_dims, width, out_channels, 1) for _ in range(SCALES))
        self.heads = nn.ModuleList(convolution(spatial_dims, width, out_channels, 1) for _ in range(SCALES))

    @property
    def total_stride(self) -> tuple[int, ...]:
        """Input voxels per voxel of the encoder-decoder's latent code, along each axis; sizes are padded to multiples of it."""
        return (CODE_STRIDE * self.stem_stride,) * self.spatial_dims

    @property
    def attention_strides(self) -> dict[str, tuple[int, ...]]:
        """Input voxels per voxel of each attention map, along each axis."""
        kinds = ("guided", "position") if self.has_positions else ("guided",)
        steps = range(1, len(self.steps) + 1)
        stride = (self.stem_stride,) * self.spatial_dims
        return {f"{kind}_scale{scale}_step{step}": stride for kind in kinds for scale in range(1, SCALES + 1) for step in steps}

    @property
    def maps_scaled_per_volume(self) -> frozenset[str]:
        return frozenset(name for name in self.attention_strides if name.startswith("guided"))

    @property
    def explained_layers(self) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
        """The fused features F_MS, which are an input of the attention of every scale and so affect all predictions; the only layer."""
        return {"fused": (self.fuse, (self.stem_stride,) * self.spatial_dims)}

    @staticmethod
    def variants(device: str) -> list[Variant]:
        return [_variant(stride, *PLANNED_SIZES[device]) for stride in PLANNED_STRIDES]

    @staticmethod
    def loss_terms(output: NetworkOutput, region: RegionLoss) -> dict[str, Tensor]:
        """The loss of the paper in training, and a Dice term against class imbalance, which the paper does not have:

            cross_entropy    sum of CE over the first and the refined predictions of all scales
            guided           0.25 * sum over scales and m of MSE(latent of step m, latent of step m+1)
            reconstruction   0.1 * sum over scales and steps of MSE(reconstruction, input)
            dice             Dice of the mean prediction

        As in the paper's code, neither side of an MSE is detached. With one step `guided` is 0; without guidance both MSE terms are.
        """
        if not output.side_logits:
            return deep_supervision([output.logits], region)
        return {
            "cross_entropy": added(region.cross_entropy(logits) for logits in output.side_logits),
            "guided": GUIDED_WEIGHT * squared_distances(output.compared["guided"], output.logits),
            "reconstruction": RECONSTRUCTION_WEIGHT * squared_distances(output.compared["reconstruction"], output.logits),
            "dice": region.dice(output.logits),
        }

    def forward(self, x: Tensor, return_attention: ReturnAttention = False) -> Tensor | NetworkOutput:
        """Segment a batch.

        Args:
            x: [B, in_channels, *S], any size.
            return_attention: False for logits alone; True for all maps as well, or the names of some.

        Returns:
            Logits [B, out_channels, *S]; or a `NetworkOutput` with maps [B, 1, *S / stem_stride] (at least 0) and the uncertainty.
            In training the logits are the mean of the predictions before and after refinement, else of those after it.

        Raises:
            ValueError: if a map has another name.
        """
        size = x.shape[2:]
        wanted = wanted_maps(return_attention, self.attention_strides)
        x = pad_to_multiple(x, self.total_stride, (LAST_STAGE_STRIDE * self.stem_stride,) * self.spatial_dims)
        full = x.shape[2:]
        local = self._pyramid(x)
        fused = self.fuse(torch.cat(local, 1))
        first = [head(features) for head, features in zip(self.first_heads, local)] if self.training else []

        attention: dict[str, Tensor] = {}
        positions: dict[str, PositionFeatures] = {}
        compared: dict[str, list[Pair]] = {"guided": [], "reconstruction": []} if self.training else {}
        before: list[Tensor] = []
        guided = [fused] * SCALES
        for step, module in enumerate(self.steps, start=1):
            codes = []
            for scale in range(SCALES):
                entering = torch.cat([local[scale], guided[scale]], 1)
                attended, latent, decoded = module(scale, entering)
                name = f"scale{scale + 1}_step{step}"
                if f"guided_{name}" in wanted:
                    attention[f"guided_{name}"] = attended.attention.abs().mean(1, keepdim=True)
                if f"position_{name}" in wanted:
                    positions[f"position_{name}"] = attended.positions
                    attention[f"position_{name}"] = attended.positions.received()
                if self.training and latent is not None:
                    codes.append(latent)
                    compared["reconstruction"].append((decoded, entering))
                last = step == len(self.steps)
                guided[scale] = attended.attention if last else attended.attention * fused
            if self.training:
                compared["guided"] += zip(before, codes)
                before = codes
        refined = [head(a) for head, a in zip(self.heads, guided)]

        logits = crop(resize(torch.stack([*first, *refined]).mean(0), full), size)
        if return_attention is False:
            return logits
        grid = [-(-s // self.stem_stride) for s in size]
        return NetworkOutput(
            logits,
            {name: crop(attention[name], grid) for name in wanted},
            tuple(crop(resize(side, full), size) for side in (*first, *refined)) if self.training else (),
            None if self.training else crop(_spread(refined, full), size),
            positions,
            {**compared},
        )

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        """F'_s: the features of the stages at C channels, at the size of stage 1."""
        features = self.backbone(x)
        size = features[0].shape[2:]
        local = []
        for stage, reduce in enumerate(self.pyramid):
            reduced = reduce(features.pop(0))
            # The last voxel of a coarse stage may extend beyond the first stage.
            covered = [n * 2**stage for n in reduced.shape[2:]]
            local.append(crop(resize(reduced, covered), size))
        return local


def _spread(scales: list[Tensor], size: Sequence[int]) -> Tensor:
    spread = ScaleSpread()
    for logits in scales:
        spread.add(resize(logits, size))
    return spread.uncertainty()


def _check_arguments(spatial_dims: int, width: int, steps: int) -> None:
    msg = None
    if spatial_dims not in (2, 3):
        msg = f"spatial_dims is {spatial_dims}; it must be 2 or 3."
    elif not are_counts([width]):
        msg = f"width is {width}; it must be a whole number of at least 1."
    elif not are_counts([steps]):
        msg = f"steps is {steps}; it must be a whole number of at least 1."
    if msg:
        raise ValueError(msg)
