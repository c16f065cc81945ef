"""The interface of networks for the engine, for plans and for training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from .output import NetworkOutput, ReturnAttention


class AttentionNetwork(Protocol):
    """The interface that the engine needs, of a `Network` or a wrapper of one."""

    @property
    def total_stride(self) -> tuple[int, ...]:
        """Input voxels per voxel of the coarsest level, along each axis; sizes are padded to multiples of it."""

    @property
    def attention_strides(self) -> dict[str, tuple[int, ...]]:
        """The names of its attention maps, and for each the input voxels per voxel along each axis."""

    @property
    def maps_scaled_per_volume(self) -> frozenset[str]:
        """The maps whose values have only a relative meaning, so that they are divided by the largest in a volume."""

    def __call__(self, x: Tensor, return_attention: ReturnAttention = False) -> Tensor | NetworkOutput:
        """Segment a batch.

        Args:
            x: [B, in_channels, *S], any size.
            return_attention: False for logits alone; True for all maps as well, or the names of some.

        Raises:
            ValueError: if a map has another name.
        """


def with_maps(network: AttentionNetwork, x: Tensor, names: Iterable[str]) -> NetworkOutput:
    """Segment a batch [B, in_channels, *S] with these maps. Raises TypeError if the network returns something else than it has to."""
    output = network(x, return_attention=list(names))
    if not isinstance(output, NetworkOutput):
        msg = f"{type(network).__name__} returned {type(output).__name__} instead of NetworkOutput."
        raise TypeError(msg)
    return output


class RegionLoss(Protocol):
    """The components of a loss: how well predictions [B, classes, *S] fit the labels of the batch. Scalars of float32 or float64."""

    def cross_entropy(self, logits: Tensor) -> Tensor:
        """The mean over the voxels, weighted by their class."""

    def dice(self, logits: Tensor) -> Tensor:
        """The mean over the classes, weighted alike, of 1 - Dice in the whole batch."""


@dataclass(frozen=True)
class Variant:
    """A size of a network, for a plan to choose from.

    Attributes:
        arguments: function from a patch in voxels and its spacing in mm, of 2 or 3 axes, to the arguments of the constructor, without the numbers of
            channels and classes.
        patch_step: the sizes of patches have to be multiples of this; None to let the plan choose by the size of the scans.
    """

    arguments: Callable[[Sequence[int], Sequence[float]], dict[str, Any]]
    patch_step: int | None = None


class Network(nn.Module, ABC):
    """An `AttentionNetwork` that a card can name and that can be planned and trained.

    The constructor takes `spatial_dims`, `in_channels`, `out_channels` and arguments of its own, in JSON's types, and raises ValueError for wrong
    ones. To add a network: a file in `networks`, a line in `NETWORKS`, a recipe.

    Attributes:
        dimensions: values of `spatial_dims` that it can be built for.
        size_arguments: names of the arguments that a note in a plan lists.
        backbones: by the name of a backbone with pretrained weights, the network as it was published with it.
    """

    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    size_arguments: ClassVar[tuple[str, ...]] = ()
    backbones: ClassVar[Mapping[str, Variant]] = {}

    @property
    @abstractmethod
    def total_stride(self) -> tuple[int, ...]: ...

    @property
    @abstractmethod
    def attention_strides(self) -> dict[str, tuple[int, ...]]: ...

    @property
    def maps_scaled_per_volume(self) -> frozenset[str]:
        return frozenset()

    @property
    def gates(self) -> dict[str, list[nn.Module]]:
        """By the name of the map, the modules of an attention gate, without weights, whose outputs are the coefficients [B, 1, *S], 0..1.

        The network multiplies features by these outputs, so the effect of a gate can be measured by a forward hook that changes them.
        """
        return {}

    @property
    def explained_layers(self) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
        """The layers at which a label can be explained, the default first: by name a module with output [B, C, *S/stride], and the stride."""
        return {}

    @staticmethod
    @abstractmethod
    def variants(device: str) -> Sequence[Variant]:
        """Sizes for a type of device, `cpu` or `gpu`: the best first, the fastest last."""

    @staticmethod
    @abstractmethod
    def loss_terms(output: NetworkOutput, region: RegionLoss) -> dict[str, Tensor]:
        """The weighted terms of the loss by name; their sum is minimized.

        Args:
            output: of `forward`, in training or evaluation mode; how its side logits and `compared` are used is up to the network.
            region: the components of the loss. The term `dice` is later multiplied by its weight in the recipe, which may be 0.
        """
