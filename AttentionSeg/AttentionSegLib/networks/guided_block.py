"""One step of guided attention (Sinha & Dolz 2020, figure 1 and section III-C)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from .channel_attention import ChannelAttention
from .layers import conv_block, conv_norm_prelu, convolution, max_pool, normalization, transposed_convolution
from .position_attention import PositionAttention, PositionFeatures


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
        width: C, channels of the result; the input has 2 C.
        norm: `batch` or `instance`.
        position, channel: whether to use these attentions.
        guided: whether to use `decoded`.

    Shapes: x [B, 2 C, *S], decoded [B, 2 C, *S] or None when not guided.
    """

    def __init__(self, spatial_dims: int, width: int, norm: str, position: bool, channel: bool, guided: bool) -> None:
        super().__init__()

        def frame(inputs: int) -> nn.Module:
            return conv_norm_prelu(spatial_dims, inputs, width, 3, norm)

        has_features = channel or not position
        self.position_in: nn.Module | None = frame(2 * width) if position else None
        self.position_out: nn.Module | None = frame(width) if position else None
        self.channel_in: nn.Module | None = frame(2 * width) if has_features else None
        self.channel_out: nn.Module | None = frame(width) if has_features else None
        self.position_attention = PositionAttention(spatial_dims, width) if position else None
        self.channel_attention = ChannelAttention() if channel else nn.Identity()
        self.guide = convolution(spatial_dims, 2 * width, width, 3, padding=1) if guided else None
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
