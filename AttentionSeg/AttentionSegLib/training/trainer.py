"""Training of a network from a recipe and labeled scans, resumable at any time."""

from __future__ import annotations

import errno
import logging
import math
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import nn
from torch.utils.data import DataLoader

from ..datasets.cases import Case
from ..errors import InputError, OutputError, memory_for
from ..models import Card
from ..networks import build_network
from ..progress import Cancel, OnProgress, check_cancel
from ..writing import check_output_folder
from .callbacks import AtomicCheckpoints, Checkpoints, Patience, Report
from .checks import check_recipe, check_room, check_same, lasting_settings
from .dataset import CaseNumbers, CaseSampler, PatchDataset, StepSampler
from .hardware import chosen_devices, lightning_arguments, loader_arguments
from .initial_weights import RANDOM, InitialWeights, initialize
from .module import SETTINGS, SegmentationModule
from .preparation import PreparedCase, prepare_cases
from .recipe import Recipe
from .synthesis.dataset import DrawnPatches
from .synthesis.maps import prepare_maps


@dataclass(frozen=True, eq=False)
class Trained:
    """Result of a training.

    Attributes:
        network: with averaged weights, on the CPU, in eval mode; a 2D network if the model works on slices.
        epoch: of these weights, the best one on the validation cases, counted from 1.
        dice: their mean Dice there.
        notes: sentences for the user about the initial weights and the prepared cases.
    """

    network: nn.Module
    epoch: int
    dice: float
    notes: tuple[str, ...]


def train(
    recipe: Recipe,
    cases: dict[str, list[Case]],
    work: Path,
    device: str = "auto",
    initial: InitialWeights = RANDOM,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> Trained:
    """Train, or resume an interrupted training from `work/last.ckpt` with the same result as without the interruption.

    The work folder gets the checkpoints `last.ckpt` and `best.ckpt`, the prepared cases in `prepared`, `log/version_<run>/metrics.csv` and, if
    tensorboard is installed, `tensorboard`. The logged loss of an interrupted epoch is the mean over the rest of it. The environment variable
    ATTENTIONSEG_WORKERS sets the number of processes that make patches.

    With several GPUs, Lightning starts a copy of the program for each further one; in these copies, this function ends the program.

    Args:
        recipe: settings.
        cases: `train` to train on, `val` to choose the epoch by.
        work: folder for this training only.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `cuda:0,1` for several GPUs, or `mps`. With CUDA, it computes in mixed precision.
        initial: weights to start from; a training is resumed with the same ones or none.
        on_progress: called with (fraction 0..1, stage, seconds left or None) before each case that is prepared and after each step.
        cancel: called before each case and each step; when it returns True the training ends, and can be resumed later.

    Raises:
        InputError: if recipe, card, device or a case cannot be used, the work folder contains another training, or the loss becomes NaN.
        OutputError: if the work folder cannot be written or has no room.
        OutOfMemory: if memory runs out.
        Cancelled: if `cancel` returned True.
        KeyboardInterrupt: if the user pressed Ctrl+C.
    """
    work, card = check_output_folder(work), recipe.draft_card()
    devices = chosen_devices(device)
    check_recipe(recipe, card, len(devices))
    torch.manual_seed(recipe.seed)
    check_cancel(cancel, "building the network")
    network = build_network(card.network, card.in_channels, len(card.labels) + 1, card.network_arguments)
    settings = {**lasting_settings(recipe, card, cases), **initial.lasting}
    last = work / "last.ckpt"
    resumed = last.is_file()
    if resumed:
        check_same(AtomicCheckpoints().load_checkpoint(last).get(SETTINGS, {}), settings, work)
    notes = [] if resumed else initialize(network, card, initial)

    patches, validated = _prepared(recipe, card, cases, work / "prepared", on_progress, cancel)
    check_room(work, network)
    size = sum(case.bytes for case in (*patches.cases, *validated))
    notes.append(f"The prepared cases take {size / 1e6:.0f} MB in {work / 'prepared'}.")

    steps = recipe.steps_per_epoch or math.ceil(len(patches.cases) / recipe.batch_size)
    # With several processes, a single one must not leave a validation.
    cancel_validation = cancel if len(devices) == 1 else None
    module = SegmentationModule(network, recipe, card, validated, recipe.epochs * steps, settings, cancel_validation)
    checkpoints = Checkpoints(work, cancel)
    callbacks = [checkpoints, LearningRateMonitor("epoch")]
    if recipe.patience is not None:
        callbacks.append(Patience(math.ceil(recipe.patience / recipe.validate_every)))
    if on_progress is not None:
        callbacks.append(Report(on_progress, recipe.epochs * steps))
        on_progress(0.0, "starting the training", None)
    check_cancel(cancel, "starting the training")
    with _quiet(), _in_words(recipe, work, devices[0]):
        trainer = lightning.Trainer(
            **lightning_arguments(devices),
            max_epochs=recipe.epochs,
            check_val_every_n_epoch=min(recipe.validate_every, recipe.epochs),
            num_sanity_val_steps=0,
            gradient_clip_val=recipe.gradient_clip,
            callbacks=callbacks,
            # On one device Lightning needs no cluster, and looking for one loads MPI, which stops Slicer for half a second.
            plugins=[AtomicCheckpoints(), *([LightningEnvironment()] if len(devices) == 1 else [])],
            logger=_loggers(work),
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
        )
        training = DataLoader(patches, batch_sampler=StepSampler(recipe.batch_size, steps, trainer), **loader_arguments(devices[0]))
        validation = DataLoader(CaseNumbers(), batch_size=None, sampler=CaseSampler(len(validated), trainer))
        trainer.fit(module, training, validation, ckpt_path=str(last) if resumed else None)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if not trainer.is_global_zero:
        raise SystemExit(0)

    best = AtomicCheckpoints().load_checkpoint(work / "best.ckpt")
    module.load_state_dict(best["state_dict"])
    return Trained(module.cpu().result.eval(), best["epoch"] + 1, checkpoints.best, tuple(notes))


def _loggers(work: Path) -> list[Any]:
    loggers: list[Any] = [CSVLogger(work, "log")]
    if find_spec("tensorboard") is not None:
        loggers.append(TensorBoardLogger(work, "tensorboard", version="", default_hp_metric=False))
    return loggers


def _prepared(
    recipe: Recipe, card: Card, cases: dict[str, list[Case]], folder: Path, on_progress: OnProgress | None, cancel: Cancel | None
) -> tuple[PatchDataset | DrawnPatches, list[PreparedCase]]:
    """The patches to train on, and the cases to validate on. Raises InputError also if a role has no labeled voxel."""

    def on_case(done: int, count: int) -> None:
        check_cancel(cancel, "preparing the cases")
        if on_progress is not None:
            on_progress(0.0, f"preparing case {done + 1} of {count}", None)

    patches: PatchDataset | DrawnPatches
    if recipe.synthesis is None:
        patches = PatchDataset(prepare_cases(cases["train"], card, recipe.ignored_label, folder, on_case), card, recipe)
    else:
        patches = DrawnPatches(prepare_maps(cases["train"], card, recipe, folder, on_case), card, recipe)
    validated = prepare_cases(cases["val"], card, recipe.ignored_label, folder, on_case)
    for role, prepared in (("train", patches.cases), ("val", validated)):
        if not any(len(case.label_voxels) for case in prepared):
            msg = f"None of the cases of the role '{role}' has a voxel of a label; give label maps with the values that the card names."
            raise InputError(msg)
    return patches, validated


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Lightning's advice for developers."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _in_words(recipe: Recipe, work: Path, device: torch.device) -> Iterator[None]:
    """Turn errors of a running training into those of this library."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    size = f"a training on {device} with batches of {recipe.batch_size} patches of {' x '.join(map(str, recipe.patch_size))} voxels"
    try:
        with memory_for(size, "lower batch_size or patch_size in the recipe, or take a smaller network"):
            yield
    except SystemExit as error:
        # How recent versions of Lightning handle Ctrl+C; they leave the next Ctrl+C without effect.
        signal.signal(signal.SIGINT, on_interrupt or signal.SIG_DFL)
        raise KeyboardInterrupt from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        msg = f"The disk of {work} is full; make room and start the training again: it resumes from its last checkpoint."
        raise OutputError(msg) from error
