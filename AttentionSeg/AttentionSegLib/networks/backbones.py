"""ResNets (He et al. 2016) as backbones of the guided-attention network, built from MONAI's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import max_pool_3, normalization

RESNETS = {
    10: ("basic", [1, 1, 1, 1]),
    18: ("basic", [2, 2, 2, 2]),
    34: ("basic", [3, 4, 6, 3]),
    50: ("bottleneck", [3, 4, 6, 3]),
    101: ("bottleneck", [3, 4, 23, 3]),
}
PLANES = (64, 128, 256, 512)
STEM_STRIDES = (1, 2, 4)


class ResNetBackbone(nn.Module):
    """The four stages of a ResNet, with the tensor names of torchvision and MedicalNet.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        depth: 10, 18, 34, 50 or 101 layers.
        stem_stride: input voxels per voxel of stage 1 along each axis: 4 (strided convolution and pooling, the original), 2 (no pooling) or 1.
        width: factor on the channels of all stages (64, 128, 256, 512; four times that with 50 layers and more).
        norm: `batch` or `instance`.

    Attributes:
        channels: of the four stages.

    Shapes: [B, in_channels, *S] -> four of [B, channels[s], *S / (stem_stride * 2^s)], rounded up.

    Raises:
        ValueError: if an argument is not one of these.
    """

    def __init__(self, spatial_dims: int, in_channels: int, depth: int = 18, stem_stride: int = 4, width: float = 1.0, norm: str = "batch") -> None:
        super().__init__()
        _check_arguments(depth, stem_stride, width)
        block, layers = RESNETS[depth]
        planes = [max(1, round(width * channels)) for channels in PLANES]
        # MONAI's shortcuts of type A do not pass the gradient.
        resnet = _monai_resnet()(
            block,
            layers,
            planes,
            spatial_dims,
            in_channels,
            conv1_t_stride=min(stem_stride, 2),
            shortcut_type="B",
            bias_downsample=False,
            feed_forward=False,
        )
        if norm != "batch":
            _replace_norms(resnet, spatial_dims, norm)
        self.conv1, self.bn1 = map(resnet.get_submodule, ("conv1", "bn1"))
        self.pool = max_pool_3(spatial_dims) if stem_stride == 4 else nn.Identity()
        self.layer1, self.layer2, self.layer3, self.layer4 = map(resnet.get_submodule, ("layer1", "layer2", "layer3", "layer4"))
        self.channels = tuple(p * (4 if block == "bottleneck" else 1) for p in planes)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.pool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        features = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


def _monai_resnet() -> type[nn.Module]:
    """MONAI's class, imported on use because that takes seconds. Its constants are created on the CPU, on whatever device the network is built."""
    with torch.device("cpu"):
        from monai.networks.nets.resnet import ResNet
    return ResNet


def _check_arguments(depth: int, stem_stride: int, width: float) -> None:
    msg = None
    if not isinstance(depth, int) or depth not in RESNETS:
        msg = f"There is no ResNet of depth {depth}; choose one of {', '.join(map(str, RESNETS))}."
    elif not isinstance(stem_stride, int) or stem_stride not in STEM_STRIDES:
        msg = f"stem_stride is {stem_stride}; it must be 1, 2 or 4."
    elif not isinstance(width, (int, float)) or not 0 < width <= 16:
        msg = f"The backbone's width is {width}; give a factor above 0 and up to 16."
    if msg:
        raise ValueError(msg)


def _replace_norms(module: nn.Module, spatial_dims: int, norm: str) -> None:
    for name, child in module.named_children():
        if isinstance(child, (nn.BatchNorm2d, nn.BatchNorm3d)):
            setattr(module, name, normalization(spatial_dims, child.num_features, norm))
        else:
            _replace_norms(child, spatial_dims, norm)
