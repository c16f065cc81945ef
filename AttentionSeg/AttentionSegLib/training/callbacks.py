"""Lightning callbacks: atomic checkpoints, early stopping, progress and cancellation."""

from __future__ import annotations

import io
import math
import signal
import threading
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ..errors import Cancelled, InputError
from ..progress import Cancel, OnProgress, Reporter
from ..writing import atomic_path

# Time between checkpoints within an epoch.
CHECKPOINT_MINUTES = 10


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are written atomically and read without executing code.

    Raises OutputError if one cannot be written, and InputError if one cannot be read.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        # Damaged files raise many types of errors.
        except Exception as error:
            msg = f"The checkpoint {path} cannot be read ({error}); remove it to start again, or choose another work folder."
            raise InputError(msg.replace("\n", " ")) from error


class Checkpoints(Callback):
    """Writes `last.ckpt`, to resume from, after each epoch, every few minutes in between, and when the training is cancelled; and `best.ckpt`, the
    weights with the largest `val_dice`.

    Args:
        folder: for the checkpoints.
        cancel: called before each step and each case of a validation, in the first process; when it returns True the training ends with Cancelled.

    Attributes:
        best: the largest `val_dice` so far.
    """

    def __init__(self, folder: Path, cancel: Cancel | None = None) -> None:
        self.folder, self.cancel = folder, cancel
        self.on_sigterm = signal.getsignal(signal.SIGTERM)
        self.best, self.written = -math.inf, 0.0

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        self.written = time.monotonic()
        # Lightning's own handler would end the training without a checkpoint before `cancel` is called.
        if callable(self.on_sigterm) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.on_sigterm)

    # Not at the end of the previous step, because only now all of Lightning's counters agree that it is done.
    def on_train_batch_start(self, trainer: Trainer, _module: LightningModule, _batch: Any, index: int) -> None:
        cancelled = self._cancelled(trainer)
        due = trainer.strategy.reduce_boolean_decision(time.monotonic() - self.written >= 60 * CHECKPOINT_MINUTES, all=False)
        if index and (due or cancelled):
            self._write_last(trainer)
        if cancelled:
            raise Cancelled("The training was cancelled; start it again with the same work folder to resume it.")

    def on_validation_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if self._cancelled(trainer):
            raise Cancelled("The training was cancelled; start it again with the same work folder to resume it.")

    def on_validation_end(self, trainer: Trainer, _module: LightningModule) -> None:
        dice = trainer.callback_metrics["val_dice"].item()
        if dice > self.best:
            self.best = dice
            trainer.save_checkpoint(self.folder / "best.ckpt", weights_only=True)

    def on_train_epoch_end(self, trainer: Trainer, _module: LightningModule) -> None:
        self._write_last(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def _cancelled(self, trainer: Trainer) -> bool:
        cancelled = self.cancel is not None and trainer.is_global_zero and self.cancel()
        return trainer.strategy.reduce_boolean_decision(cancelled, all=False)

    def _write_last(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / "last.ckpt")
        self.written = time.monotonic()


class Patience(EarlyStopping):
    """Ends the training after a number of validations in a row without improvement. A training that has ended so is not resumed.

    Args:
        validations: their number.
    """

    def __init__(self, validations: int) -> None:
        super().__init__("val_dice", mode="max", patience=validations, check_on_train_epoch_end=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # The value of the recipe overrides that of the checkpoint.
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        trainer.should_stop = self.wait_count >= self.patience


class Report(Callback):
    """Reports after each step the fraction of the training that is done, the epoch with the last `val_dice`, and the seconds left.

    Args:
        steps: of the whole training.
    """

    def __init__(self, on_progress: OnProgress, steps: int) -> None:
        self.reporter, self.steps, self.first_step = Reporter(on_progress), steps, 0

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        self.first_step = trainer.global_step
        self.reporter.start_clock()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if not trainer.is_global_zero:
            return
        dice = trainer.callback_metrics.get("val_dice")
        measured = "" if dice is None else f", Dice {dice:.3f}"
        stage = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}{measured}"
        done = trainer.global_step
        self.reporter.report(done / self.steps, stage, done - self.first_step, self.steps - done)
