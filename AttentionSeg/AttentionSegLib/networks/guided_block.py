"""One step of guided attention (Sinha & Dolz 2020, figure 1 and section III-C)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from .channel_attention import ChannelAttention
from .layers import conv_block, conv_norm_prelu, convolution, max_pool, normalization, transposed_convolution
from .position_attention import PositionAttention, PositionFeatures

SCALES = 4


@dataclass(frozen=True)
class GuidedArguments:
    """The arguments of a guided-attention network.

    Attributes:
        backbone: depth of the ResNet: 10, 18, 34, 50 or 101.
        backbone_width: factor on the channels of the ResNet.
        stem_stride: input voxels per voxel of its first stage: 4 as in the paper, 2 or 1 for small structures.
        width: C, channels of the attention (64 in the paper).
        steps: M, refinement steps (2 in the paper); 1 means no refinement.
        position, channel, guided: False leaves out position attention, channel attention or the guidance by the encoder-decoder.
        norm: `batch`, or `instance` for small batches.
        query_channels, similarity: D of the position attention, and how it compares; see `PositionAttention`.
    """

    backbone: int = 18
    backbone_width: float = 1.0
    stem_stride: int = 4
    width: int = 64
    steps: int = 2
    position: bool = True
    channel: bool = True
    guided: bool = True
    norm: str = "batch"
    query_channels: int | None = None
    similarity: str = "dot"


class SemanticModule(nn.Module):
    """Encoder-decoder whose latent code guides the attention; shared between the scales of a step.

    Two blocks (two times conv 3, norm, ReLU; max pooling 2) double the channels each, followed by two transposed convolutions.

    Shapes: x [B, C, *S], each size a multiple of 4 -> latent [B, 4 C, *S/4], reconstruction [B, C, *S].
    """

    def __init__(self, spatial_dims: int, channels: int, norm: str) -> None:
        super().__init__()
        halve = (2,) * spatial_dims
        self.encoder = nn.Sequential(
            conv_block(spatial_dims, channels, 2 * channels, norm),
            max_pool(spatial_dims, halve),
            conv_block(spatial_dims, 2 * channels, 4 * channels, norm),
            max_pool(spatial_dims, halve),
        )
        self.decoder = nn.Sequential(
            transposed_convolution(spatial_dims, 4 * channels, 2 * channels, 2, bias=False),
            normalization(spatial_dims, 2 * channels, norm),
            nn.ReLU(inplace=True),
            transposed_convolution(spatial_dims, 2 * channels, channels, 2),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.encoder(x)
        return latent, self.decoder(latent)


class Attended(NamedTuple):
    """The output of one block: A_m [B, C, *S], and queries and keys of the position attention (None without it)."""

    attention: Tensor
    positions: PositionFeatures | None


class GuidedAttentionBlock(nn.Module):
    """A_m = conv1( (PAM(input) + CAM(input)) * conv3(decoded) ), for one scale.

    Before and after each attention are a conv 3, norm and PReLU (its frame). Without an attention its branch is left out; without both, one frame
    remains, so that the network lacks only the attention.

    Args:
        spatial_dims: 2 or 3.
        arguments: of the network. With `width` C the input has 2 C channels and the result C.

    Shapes: x [B, 2 C, *S], decoded [B, 2 C, *S] or None when not guided.
    """

    def __init__(self, spatial_dims: int, arguments: GuidedArguments) -> None:
        super().__init__()
        width = arguments.width

        def frame(inputs: int) -> nn.Module:
            return conv_norm_prelu(spatial_dims, inputs, width, 3, arguments.norm)

        def position_attention() -> PositionAttention:
            return PositionAttention(spatial_dims, width, arguments.query_channels, arguments.similarity)

        has_features = arguments.channel or not arguments.position
        self.position_in: nn.Module | None = frame(2 * width) if arguments.position else None
        self.position_out: nn.Module | None = frame(width) if arguments.position else None
        self.channel_in: nn.Module | None = frame(2 * width) if has_features else None
        self.channel_out: nn.Module | None = frame(width) if has_features else None
        self.position_attention = position_attention() if arguments.position else None
        self.channel_attention = ChannelAttention() if arguments.channel else nn.Identity()
        self.guide = convolution(spatial_dims, 2 * width, width, 3, padding=1) if arguments.guided else None
        self.project = convolution(spatial_dims, width, width, 1)

    def forward(self, x: Tensor, decoded: Tensor | None) -> Attended:
        found, positions = None, None
        if self.position_attention is not None and self.position_in is not None and self.position_out is not None:
            found, positions = self.position_attention(self.position_in(x))
            found = self.position_out(found)
        if self.channel_in is not None and self.channel_out is not None:
            by_channel = self.channel_out(self.channel_attention(self.channel_in(x)))
            found = by_channel if found is None else found + by_channel
        if self.guide is not None:
            found = found * self.guide(decoded)
        return Attended(self.project(found), positions)


class RefinementStep(nn.Module):
    """A guided attention block for each scale, and the encoder-decoder that they share. Shapes: see `GuidedAttentionBlock`."""

    def __init__(self, spatial_dims: int, arguments: GuidedArguments) -> None:
        super().__init__()
        self.semantic = SemanticModule(spatial_dims, 2 * arguments.width, arguments.norm) if arguments.guided else None
        self.blocks = nn.ModuleList(GuidedAttentionBlock(spatial_dims, arguments) for _ in range(SCALES))

    def forward(self, scale: int, x: Tensor) -> tuple[Attended, Tensor | None, Tensor | None]:
        latent, decoded = self.semantic(x) if self.semantic is not None else (None, None)
        return self.blocks[scale](x, decoded), latent, decoded
