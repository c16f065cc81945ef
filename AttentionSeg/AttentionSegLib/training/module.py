"""The training of one network as Lightning sees it."""

from __future__ import annotations

import math

import lightning
import torch
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.metrics import compute_dice
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..networks import NetworkOutput
from .recipe import Recipe

WARM_UP = 0.03
SIDE_WEIGHT = 0.5


class SegmentationModule(lightning.LightningModule):
    """Dice + cross-entropy on the logits and, at half the weight each step coarser, on the side logits; AdamW; averaged weights.

    Args:
        network: gives a `NetworkOutput` when called with `return_attention=True`.
        recipe: settings of the training.
        classes: labels and background.
        steps: optimizer steps of the whole training.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, classes: int, steps: int) -> None:
        super().__init__()
        self.network = network
        self.averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay), use_buffers=True)
        self.recipe, self.classes, self.steps = recipe, classes, steps
        self.loss = DiceCELoss(to_onehot_y=True, softmax=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)
        self.dice: list[Tensor] = []

    def training_step(self, batch: dict[str, Tensor], _index: int) -> Tensor:
        output = self.network(batch["image"], return_attention=True)
        loss = self._supervised(output, batch["label"])
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(batch["image"]))
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        self.averaged.update_parameters(self.network)

    def validation_step(self, batch: dict[str, Tensor], _index: int) -> None:
        logits = sliding_window_inference(batch["image"], self.recipe.patch_size, 4, self.averaged, overlap=0.25, mode="gaussian")
        predicted = logits.argmax(1, keepdim=True)
        hot = [torch.cat([labels == value for value in range(self.classes)], 1) for labels in (predicted, batch["label"])]
        self.dice.append(compute_dice(*hot, include_background=False)[0])

    def on_validation_epoch_end(self) -> None:
        per_label = torch.stack(self.dice).nanmean(0)
        self.dice.clear()
        self.log("val_dice", per_label.nanmean(), prog_bar=True)
        for value, dice in enumerate(per_label, start=1):
            self.log(f"val_dice_{value}", dice)

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _rate(self, step: int) -> float:
        warm = max(1, int(WARM_UP * self.steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, self.steps - warm))))

    def _supervised(self, output: NetworkOutput, label: Tensor) -> Tensor:
        total, weights = self.loss(output.logits, label), 1.0
        for distance, side in enumerate(reversed(output.side_logits), start=1):
            weight = SIDE_WEIGHT**distance
            total, weights = total + weight * self.loss(side, label), weights + weight
        return total / weights
