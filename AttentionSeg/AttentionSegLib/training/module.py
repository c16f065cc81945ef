"""The Lightning module: training and validation steps of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..errors import InputError
from ..inference.memory_estimate import PATCHES_AT_A_TIME, SLICES_AT_A_TIME
from ..inference.progress import Progress
from ..inference.restore import most_likely
from ..inference.slices import SliceNetwork, with_neighbors
from ..inference.sliding_window import placements, run_with_fallback
from ..models import Card
from ..networks import Network
from ..networks.small_convolutions import halve_convolutions
from ..progress import Cancel
from .losses import NetworkLoss
from .preparation import IGNORED, PreparedCase
from .recipe import Recipe

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

WARM_UP = 0.03
POWER = 0.9
SETTINGS = "attentionseg"


class SegmentationModule(lightning.LightningModule):
    """Trains with `NetworkLoss` (terms logged as `loss_<name>`) and AdamW; validates the averaged weights.

    `val_dice` is the mean over the labels of `val_dice_<value>`, which are means over the cases that have the label. Whole cases are segmented, with
    patch size and overlap of the card, without post-processing.

    Args:
        network: of the card.
        recipe: settings of the training.
        card: of the new model.
        validation: cases to validate on.
        steps: optimizer steps of the whole training.
        settings: stored in every checkpoint, under `SETTINGS`.
        cancel: called between the patches of a validation; when it returns True, Cancelled is raised. For trainings in one process.

    Raises:
        InputError: if the recipe has no weight for each class; while training, if the loss is NaN or infinite.
    """

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        card: Card,
        validation: Sequence[PreparedCase],
        steps: int,
        settings: dict[str, Any],
        cancel: Cancel | None = None,
    ) -> None:
        super().__init__()
        halve_convolutions(network)
        self.network = network if card.slice_axis is None else SliceNetwork(network, card.slice_axis)
        self.averaged = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay), use_buffers=True)
        self.averaged.requires_grad_(False)
        self.recipe, self.card, self.validation, self.steps, self.settings = recipe, card, validation, steps, settings
        self.loss = NetworkLoss(network.loss_terms, len(card.labels) + 1, recipe.class_weights, IGNORED, recipe.dice_weight)
        self.dice = torch.empty(0)
        self.cancel = cancel

    @property
    def result(self) -> nn.Module:
        """The network with averaged weights; a 2D network if the model works on slices."""
        return next(part for part in self.averaged.modules() if isinstance(part, Network)).requires_grad_(True)

    def on_train_batch_start(self, *_: object) -> None:
        # So that dropout is reproducible after a resume, and differs between processes.
        torch.manual_seed(self.recipe.seed + self.global_step * self.trainer.world_size + self.global_rank)
        # The last epoch is always validated.
        if self.current_epoch + 1 == self.trainer.max_epochs:
            self.trainer.check_val_every_n_epoch = 1

    def training_step(self, batch: dict[str, Tensor], _index: int) -> Tensor:
        # Without attention maps; terms of the loss are returned all the same.
        output = self.network(batch["image"], return_attention=())
        loss, terms = self.loss(output, batch["label"].long())
        if not loss.isfinite():
            place = f"epoch {self.current_epoch + 1}, step {self.global_step + 1}"
            msg = f"The loss became {loss.item()} in {place}; lower the learning rate ({self.recipe.learning_rate:g}) and start in a new work folder."
            raise InputError(msg)
        logged = {"loss": loss, **{f"loss_{name}": term for name, term in terms.items()}}
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=len(batch["image"]), sync_dist=True)
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        self.averaged.update_parameters(self.network)

    def on_validation_epoch_start(self) -> None:
        self.dice = torch.full((len(self.validation), len(self.card.labels)), math.nan, device=self.device)

    def validation_step(self, index: int, _batch_index: int) -> None:
        case = self.validation[index]
        image, label = (torch.from_numpy(np.array(values)) for values in (case.image, case.label))
        self.dice[index] = dice_of_labels(self._segmented(image.float()), label[0].to(self.device), len(self.card.labels))

    def on_validation_epoch_end(self) -> None:
        # Each process has measured other cases.
        gathered = self.trainer.strategy.all_gather(self.dice).view(-1, *self.dice.shape)
        per_label = gathered.nan_to_num(-1).amax(0)
        per_label = torch.where(per_label < 0, math.nan, per_label).nanmean(0)
        self.log("val_dice", per_label.nanmean(), prog_bar=True, sync_dist=True)
        self.log_dict({f"val_dice_{value}": dice for value, dice in enumerate(per_label, start=1)}, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[SETTINGS] = self.settings

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _rate(self, step: int) -> float:
        warm = max(1, int(WARM_UP * self.steps))
        if step < warm:
            return (step + 1) / warm
        done = min(1.0, (step - warm) / max(1, self.steps - warm))
        return 0.5 * (1 + math.cos(math.pi * done)) if self.recipe.schedule == "cosine" else (1 - done) ** POWER

    def _segmented(self, image: Tensor) -> Tensor:
        """The labels [I, J, K] of an image [C, I, J, K], padded as inference does."""
        network = next(part for part in self.averaged.modules() if isinstance(part, (Network, SliceNetwork)))
        patch = [-(-size // stride) * stride for size, stride in zip(self.card.patch_size, network.total_stride)]
        grown = [max(-(-size // stride) * stride, least) for size, stride, least in zip(image.shape[1:], network.total_stride, patch)]
        before = [(large - small) // 2 for large, small in zip(grown, image.shape[1:])]
        ends = [(first, large - small - first) for first, large, small in zip(before, grown, image.shape[1:])]
        padded = F.pad(image, [amount for pair in reversed(ends) for amount in pair])
        at_a_time = (PATCHES_AT_A_TIME if self.card.slice_axis is None else SLICES_AT_A_TIME)[self.device.type]
        # The network must not move to another device.
        tries = [placement for placement in placements(self.device, at_a_time) if placement.device == self.device]
        progress = Progress(cancel=self.cancel)
        progress.stage("network")
        output, _ = run_with_fallback(network, with_neighbors(padded, self.card), patch, self.card.overlap, (), tries, progress)
        own = tuple(slice(first, first + small) for first, small in zip(before, image.shape[1:]))
        return most_likely(output.logits)[own].to(self.device)


def dice_of_labels(found: Tensor, wanted: Tensor, labels: int) -> Tensor:
    """Dice of each label 1..labels over the voxels that are not `IGNORED`; NaN for labels that do not occur in `wanted`.

    Args:
        found, wanted: label values [I, J, K].
        labels: their number.

    Returns:
        [labels] float32.
    """
    counted = wanted != IGNORED
    # As int64, because uint8 cannot number the pairs of 16 labels.
    pairs = found[counted].long() * (labels + 1) + wanted[counted].long()
    table = torch.bincount(pairs, minlength=(labels + 1) ** 2).view(labels + 1, labels + 1).float()
    dice = 2 * table.diagonal() / (table.sum(0) + table.sum(1))
    return torch.where(table.sum(0) > 0, dice, math.nan)[1:]
