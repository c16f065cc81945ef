"""Loss functions, chosen by what a network outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor, nn

from ..errors import InputError
from ..networks import NetworkOutput
from ..networks.contract import RegionLoss
from ..networks.supervision import added, exact


class Loss(NamedTuple):
    """A loss and its weighted terms by name; the total is their sum."""

    total: Tensor
    terms: dict[str, Tensor]


class NetworkLoss(nn.Module):
    """The loss of a network: the sum of its own terms (see `Network.loss_terms`), with the weight of the recipe on the Dice term.

    Cross-entropy is the mean over voxels, weighted by class; Dice is the mean over classes, with the same weights, of 1 - Dice over the whole batch.
    Voxels with the ignore label count in neither: they get no gradient, and without other voxels both are 0. Computed in float32.

    Args:
        terms: `loss_terms` of the network.
        classes: labels and background.
        class_weights: [classes], background first, each above 0; only their ratios matter. All equal when left out.
        ignored_label: the ignore label, outside 0..classes-1. The default is torch's.
        dice_weight: 0 or more; with 0 there is no term `dice`.

    Raises:
        InputError: if an argument is out of range.
    """

    class_weights: Tensor

    def __init__(
        self,
        terms: Callable[[NetworkOutput, RegionLoss], dict[str, Tensor]],
        classes: int,
        class_weights: Tensor | Sequence[float] | None = None,
        ignored_label: int = -100,
        dice_weight: float = 1.0,
    ) -> None:
        super().__init__()
        weights = torch.ones(classes) if class_weights is None else torch.as_tensor(class_weights)
        _check_arguments(classes, weights, ignored_label, dice_weight)
        self.terms, self.ignored_label, self.dice_weight = terms, ignored_label, dice_weight
        # Not stored in checkpoints, because the recipe determines them.
        self.register_buffer("class_weights", weights, persistent=False)
        self.dice_of_class = DiceLoss(batch=True, reduction="none", smooth_nr=1e-5, smooth_dr=1e-5)

    def forward(self, output: NetworkOutput, label: Tensor) -> Loss:
        """Compute the loss of the output of a network in training mode.

        Args:
            output: logits and side logits [B, classes, *S].
            label: [B, 1, *S] integer, each value 0..classes-1 or the ignore label.

        Raises:
            InputError: if the label has another shape, type or value.
        """
        terms = self.terms(output, self._region(output.logits, label))
        if "dice" in terms:
            terms["dice"] = self.dice_weight * terms["dice"]
        if not self.dice_weight:
            terms.pop("dice", None)
        return Loss(added(terms.values()), terms)

    def _region(self, logits: Tensor, label: Tensor) -> _Region:
        expected = (len(logits), 1, *logits.shape[2:])
        if label.shape != expected:
            msg = f"The label has the shape {tuple(label.shape)}; it must be {expected}, one value for each voxel of the logits."
            raise InputError(msg)
        if label.is_floating_point():
            msg = f"The label is of type {label.dtype}; give whole numbers, the class of each voxel."
            raise InputError(msg)
        # Before any comparison, because -1 would be 255 in unsigned labels.
        label = label.long()
        one_hot = torch.cat([label == value for value in range(len(self.class_weights))], 1)
        unknown = label[~one_hot.any(1, keepdim=True) & (label != self.ignored_label)]
        if len(unknown):
            msg = (
                f"The label holds {unknown.unique().tolist()}, which are neither classes (0..{len(self.class_weights) - 1}) "
                f"nor ignored ({self.ignored_label}); correct it or name the ignored label."
            )
            raise InputError(msg)
        weights = self.class_weights.to(exact(logits))
        weight = (one_hot.transpose(0, 1).flatten(1).sum(1) * weights).sum()
        # At least the weight of one voxel, so that without other voxels than ignored ones the quotient is 0.
        return _Region(self, label[:, 0], one_hot, weight.clamp(min=weights.min()))


class _Region(NamedTuple):
    """A `RegionLoss` with label [B, *S] int64, one_hot [B, classes, *S] bool (no class at ignored voxels) and weight [], the sum of class weights."""

    loss: NetworkLoss
    label: Tensor
    one_hot: Tensor
    weight: Tensor

    def cross_entropy(self, logits: Tensor) -> Tensor:
        logits = exact(logits)
        weights = self.loss.class_weights.to(logits)
        return F.cross_entropy(logits, self.label, weights, reduction="sum", ignore_index=self.loss.ignored_label) / self.weight

    def dice(self, logits: Tensor) -> Tensor:
        if not self.loss.dice_weight:
            return logits.new_zeros(())
        # Masked here, because MaskedDiceLoss of MONAI 1.3 masks the logits, and their softmax is not 0.
        probabilities = torch.softmax(exact(logits), 1) * (self.label != self.loss.ignored_label).unsqueeze(1)
        weights = self.loss.class_weights.to(probabilities)
        return (weights * self.loss.dice_of_class(probabilities, self.one_hot).flatten()).sum() / weights.sum()


def _check_arguments(classes: int, weights: Tensor, ignored_label: int, dice_weight: float) -> None:
    msg = None
    if weights.shape != (classes,) or not (weights.isfinite() & (weights > 0)).all():
        msg = f"class_weights is {weights.tolist()}; give one finite weight above 0 for each of the {classes} classes, background first."
    elif 0 <= ignored_label < classes:
        msg = f"ignored_label is {ignored_label}, which is one of the {classes} classes; choose a value outside 0..{classes - 1}."
    elif not (math.isfinite(dice_weight) and dice_weight >= 0):
        msg = f"dice_weight is {dice_weight}; it must be 0 or more."
    if msg:
        raise InputError(msg)
