"""From a recipe and labelled scans to a trained network, resumable at any time."""

from __future__ import annotations

from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader

from ..errors import InputError
from ..models import Card
from ..networks import build_network
from .dataset import CaseDataset, prepare_case
from .module import SegmentationModule
from .recipe import Case, Recipe

VALIDATE_EVERY = 5


def train(recipe: Recipe, card: Card, cases: dict[str, list[Case]], work: Path, device: str = "auto") -> nn.Module:
    """Train, or go on from `work/last.ckpt` when a training was cut off there.

    Args:
        recipe: settings.
        card: validated card of the model in the making.
        cases: `train` to learn from, `val` to choose the epoch by.
        work: folder for checkpoints and the log (`metrics.csv`).
        device: Lightning's accelerator: `auto`, `cpu`, `gpu`, `mps`.

    Returns:
        The network with the averaged weights of the epoch that was best on the `val` cases.

    Raises:
        InputError: if a case cannot be used, or there are fewer training cases than a batch takes.
    """
    if len(cases["train"]) < recipe.batch_size:
        msg = f"There are {len(cases['train'])} training cases for batches of {recipe.batch_size}; add cases or make the batches smaller."
        raise InputError(msg)
    work = Path(work)
    resumed = work / "last.ckpt"
    # A resumed training must not see the random numbers of its first epochs again.
    lightning.seed_everything(recipe.seed + finished_epochs(resumed))
    training = DataLoader(CaseDataset(cases["train"], card, recipe), recipe.batch_size, shuffle=True, drop_last=True)
    validation = DataLoader([dict(zip(("image", "label"), prepare_case(case, card))) for case in cases["val"]])
    network = build_network(card.network, len(card.inputs), len(card.labels) + 1, card.network_arguments)
    module = SegmentationModule(network, recipe, len(card.labels) + 1, recipe.epochs * len(training))
    best = ModelCheckpoint(work, "best", monitor="val_dice", mode="max", enable_version_counter=False)
    last = ModelCheckpoint(work, "last", every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False)
    trainer = lightning.Trainer(
        accelerator=device,
        devices=1,
        precision="16-mixed" if device == "gpu" else "32-true",
        max_epochs=recipe.epochs,
        check_val_every_n_epoch=min(VALIDATE_EVERY, recipe.epochs),
        num_sanity_val_steps=0,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        callbacks=[best, last],
        logger=CSVLogger(work, name="log"),
        log_every_n_steps=1,
    )
    trainer.fit(module, training, validation, ckpt_path=str(resumed) if resumed.is_file() else None)
    return best_network(module, work / "best.ckpt")


def finished_epochs(checkpoint: Path) -> int:
    """How many epochs the training had behind it when it wrote the checkpoint; 0 without one."""
    if not checkpoint.is_file():
        return 0
    return torch.load(checkpoint, map_location="cpu", weights_only=False)["epoch"] + 1


def best_network(module: SegmentationModule, checkpoint: Path) -> nn.Module:
    """The averaged network of a checkpoint that this code wrote."""
    module.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"])
    return module.averaged.module.eval()
