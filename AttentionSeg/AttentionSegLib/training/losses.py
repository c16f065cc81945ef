"""What the training of each network makes small: cross-entropy and Dice, and the terms of guided attention."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor, nn

from ..errors import InputError
from ..networks import NetworkOutput
from ..networks.output import Guidance

# Of a decoder level against the next finer one.
SIDE_WEIGHT = 0.5
# beta and gamma of Sinha & Dolz 2020.
GUIDED_WEIGHT = 0.25
RECONSTRUCTION_WEIGHT = 0.1


class Loss(NamedTuple):
    """A loss and its terms by name, weighted: the total is their sum."""

    total: Tensor
    terms: dict[str, Tensor]


class _Truth(NamedTuple):
    """label [B, *S] int64, one_hot [B, classes, *S] bool, no class at ignored voxels; weight [], sum of the class weights of the other voxels."""

    label: Tensor
    one_hot: Tensor
    weight: Tensor


class NetworkLoss(nn.Module):
    """The loss of both networks; which of the two is told by what the network gave.

    With `guidance`, it is that of multi-scale self-guided attention (Sinha & Dolz 2020, arXiv:1906.02849) and a Dice of our own against imbalance:

        cross_entropy    sum of CE over the first and the refined predictions of all scales (`side_logits`)
        guided           0.25 * sum over scales and m of MSE(latent of step m, latent of step m+1)
        reconstruction   0.1 * sum over scales and steps of MSE(reconstruction, input)
        dice             dice_weight * Dice of the mean prediction (`logits`); a weight of 0 gives exactly the paper's loss

    As in the paper's code, neither side of an MSE is detached. With one step `guided` is 0; without guidance in the network, both MSE terms are.

    Without `guidance`, it is CE + dice_weight * Dice of the logits and, at half the weight each step coarser, of the side logits of Attention U-Net,
    divided by the sum of these weights.

    CE is the mean over voxels, weighted by their class; Dice is the mean over classes, weighted alike, of 1 - Dice in the whole batch. Ignored voxels
    count in neither: they get no gradient, and where there are no others both are 0. Half precision is computed in float32.

    Args:
        classes: labels and background.
        class_weights: [classes], background first, each above 0; only their ratios count. All the same when left out.
        ignored_label: label value of voxels that do not count, outside 0..classes-1. The default is torch's.
        dice_weight: 0 or more.

    Raises:
        InputError: if an argument is not one of these.
    """

    def __init__(
        self, classes: int, class_weights: Tensor | Sequence[float] | None = None, ignored_label: int = -100, dice_weight: float = 1.0
    ) -> None:
        super().__init__()
        weights = torch.ones(classes) if class_weights is None else torch.as_tensor(class_weights)
        _check_arguments(classes, weights, ignored_label, dice_weight)
        self.ignored_label, self.dice_weight = ignored_label, dice_weight
        # Not in checkpoints: the recipe rules.
        self.register_buffer("class_weights", weights, persistent=False)
        self.dice_of_class = DiceLoss(batch=True, reduction="none", smooth_nr=1e-5, smooth_dr=1e-5)

    def forward(self, output: NetworkOutput, label: Tensor) -> Loss:
        """The loss of what a network in training mode gave.

        Args:
            output: logits and side logits [B, classes, *S].
            label: [B, 1, *S] integer, each value 0..classes-1 or the ignored one.

        Raises:
            InputError: if the label has another shape, type or value.
        """
        truth = self._truth(output.logits, label)
        zero = output.logits.new_zeros((), dtype=torch.float32)
        terms = {}
        if output.guidance is None:
            levels = [(SIDE_WEIGHT**step, logits) for step, logits in enumerate((output.logits, *reversed(output.side_logits)))]
            whole = sum(weight for weight, _ in levels)
            terms["cross_entropy"] = sum(weight / whole * self._cross_entropy(logits, truth) for weight, logits in levels)
        else:
            levels, whole = [(1.0, output.logits)], 1.0
            terms["cross_entropy"] = sum(self._cross_entropy(logits, truth) for logits in output.side_logits)
            terms["guided"] = GUIDED_WEIGHT * sum(_distances(output.guidance), zero)
            terms["reconstruction"] = RECONSTRUCTION_WEIGHT * sum(map(_mse, output.guidance.reconstructions, output.guidance.inputs), zero)
        if self.dice_weight:
            terms["dice"] = self.dice_weight * sum(weight / whole * self._dice(logits, truth) for weight, logits in levels)
        return Loss(sum(terms.values()), terms)

    def _truth(self, logits: Tensor, label: Tensor) -> _Truth:
        expected = (len(logits), 1, *logits.shape[2:])
        if label.shape != expected:
            msg = f"The label has the shape {tuple(label.shape)}; it must be {expected}, one value for each voxel of the logits."
            raise InputError(msg)
        if label.is_floating_point():
            msg = f"The label is of type {label.dtype}; give whole numbers, the class of each voxel."
            raise InputError(msg)
        # Before any comparison: -1 would be 255 in unsigned labels.
        label = label.long()
        one_hot = torch.cat([label == value for value in range(len(self.class_weights))], 1)
        unknown = label[~one_hot.any(1, keepdim=True) & (label != self.ignored_label)]
        if len(unknown):
            msg = (
                f"The label holds {unknown.unique().tolist()}, which are neither classes (0..{len(self.class_weights) - 1}) "
                f"nor ignored ({self.ignored_label}); correct it or name the ignored label."
            )
            raise InputError(msg)
        weights = self.class_weights.to(_exact(logits))
        weight = (one_hot.transpose(0, 1).flatten(1).sum(1) * weights).sum()
        # Where every voxel is ignored, 0 is divided by the weight of one.
        return _Truth(label[:, 0], one_hot, weight.clamp(min=weights.min()))

    def _cross_entropy(self, logits: Tensor, truth: _Truth) -> Tensor:
        logits = _exact(logits)
        weights = self.class_weights.to(logits)
        return F.cross_entropy(logits, truth.label, weights, reduction="sum", ignore_index=self.ignored_label) / truth.weight

    def _dice(self, logits: Tensor, truth: _Truth) -> Tensor:
        # Masked here: the MaskedDiceLoss of MONAI 1.3 masks logits, whose softmax still counts.
        probabilities = torch.softmax(_exact(logits), 1) * (truth.label != self.ignored_label).unsqueeze(1)
        weights = self.class_weights.to(probabilities)
        return (weights * self.dice_of_class(probabilities, truth.one_hot).flatten()).sum() / weights.sum()


def _distances(guidance: Guidance) -> Iterable[Tensor]:
    """How far the latent codes of each scale are from those of its next step."""
    return (_mse(*pair) for codes, following in zip(guidance.latents, guidance.latents[1:]) for pair in zip(codes, following))


def _mse(first: Tensor, second: Tensor) -> Tensor:
    return F.mse_loss(_exact(first), _exact(second))


def _exact(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


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
