"""What a network offers to the engine, to plans and to trainings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from .output import NetworkOutput, ReturnAttention


class AttentionNetwork(Protocol):
    """What the engine runs: a `Network`, or what wraps one."""

    @property
    def total_stride(self) -> tuple[int, ...]:
        """Input voxels per voxel of the coarsest level, along each axis: what sizes are padded to."""

    @property
    def attention_strides(self) -> dict[str, tuple[int, ...]]:
        """The names of its attention maps, and for each the input voxels per voxel along each axis."""

    @property
    def maps_scaled_per_volume(self) -> frozenset[str]:
        """The maps whose values mean something only beside each other, so that they are shown as a share of the largest in a volume."""

    def __call__(self, x: Tensor, return_attention: ReturnAttention = False) -> Tensor | NetworkOutput:
        """Segment a batch.

        Args:
            x: [B, in_channels, *S], any size.
            return_attention: False for logits alone; True for all maps as well, or the names of those wanted.

        Raises:
            ValueError: if a map has another name.
        """


class RegionLoss(Protocol):
    """What a loss is made of: how well predictions [B, classes, *S] fit the labels of the batch. Scalars of float32 or float64."""

    def cross_entropy(self, logits: Tensor) -> Tensor:
        """The mean over the voxels, weighted by their class."""

    def dice(self, logits: Tensor) -> Tensor:
        """The mean over the classes, weighted alike, of 1 - Dice in the whole batch."""


@dataclass(frozen=True)
class Variant:
    """A size of a network, for a plan to choose from.

    Attributes:
        arguments: from a patch in voxels and its spacing in mm, of 2 or 3 axes, to the arguments of the constructor, without the numbers of channels
            and classes.
        patch_step: what the sizes of patches are to be multiples of; None to let the plan choose by the size of the scans.
    """

    arguments: Callable[[Sequence[int], Sequence[float]], dict[str, Any]]
    patch_step: int | None = None


class Network(nn.Module, ABC):
    """An `AttentionNetwork` to be named by a card, planned and trained.

    The constructor takes `spatial_dims`, `in_channels`, `out_channels` and arguments of its own, in JSON's types, and raises ValueError for wrong
    ones. To add a network: a file in `networks`, a line in `NETWORKS`, a recipe.

    Attributes:
        dimensions: values of `spatial_dims` that it can be built for.
        size_arguments: names of the arguments that a note of a plan tells.
        backbones: by the name of a backbone that there are pretrained weights for, the network as it was published with it.
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
        """By the name of its map, what computes an attention gate: modules without weights that give the coefficients [B, 1, *S], 0..1.

        The network multiplies features by what they give, so a forward hook that gives other coefficients shows what the gate does.
        """
        return {}

    @property
    def explained_layers(self) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
        """Where Seg-Grad-CAM can explain a label, the default first: by name a module that gives features [B, C, *S/stride], and that stride."""
        return {}

    @staticmethod
    @abstractmethod
    def variants(device: str) -> Sequence[Variant]:
        """Networks that suit a device of this kind, `cpu` or `gpu`: the best first, the cheapest last."""

    @staticmethod
    @abstractmethod
    def loss_terms(output: NetworkOutput, region: RegionLoss) -> dict[str, Tensor]:
        """The terms of the loss by name, weighted: what is made small is their sum.

        Args:
            output: of `forward`, in training or out of it, whose side logits and `compared` count as the network wants them to.
            region: how well predictions fit the labels. The term `dice` is multiplied by the weight that the recipe gives it, which may be 0.
        """


def are_counts(values: object) -> bool:
    """Whether this is a list or tuple of whole numbers of at least 1. Cards come from JSON, where anything may stand."""
    return isinstance(values, (list, tuple)) and all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values)
