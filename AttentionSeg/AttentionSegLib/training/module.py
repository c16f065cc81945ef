"""The training of one network as Lightning sees it."""

from __future__ import annotations

import math

import lightning
import torch
from monai.inferers import sliding_window_inference
from monai.metrics import compute_dice
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .losses import NetworkLoss
from .recipe import Recipe

WARM_UP = 0.03


class SegmentationModule(lightning.LightningModule):
    """`NetworkLoss`, whose terms are logged as `loss_<name>`; AdamW; averaged weights.

    Args:
        network: gives a `NetworkOutput` when called with `return_attention=()`.
        recipe: settings of the training.
        classes: labels and background.
        steps: optimizer steps of the whole training.

    Raises:
        InputError: if the recipe has not one weight for each class.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, classes: int, steps: int) -> None:
        super().__init__()
        self.network = network
        self.averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay), use_buffers=True)
        self.recipe, self.classes, self.steps = recipe, classes, steps
        self.loss = NetworkLoss(classes, recipe.class_weights, dice_weight=recipe.dice_weight)
        self.dice: list[Tensor] = []

    def training_step(self, batch: dict[str, Tensor], _index: int) -> Tensor:
        # No maps, but what the loss compares.
        output = self.network(batch["image"], return_attention=())
        loss, terms = self.loss(output, batch["label"].long())
        logging = {"on_step": False, "on_epoch": True, "batch_size": len(batch["image"])}
        self.log("loss", loss, prog_bar=True, **logging)
        self.log_dict({f"loss_{name}": term for name, term in terms.items()}, **logging)
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
