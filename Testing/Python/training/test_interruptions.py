"""However a training is interrupted, what it has done is kept, and it goes on as if nothing had happened."""

from __future__ import annotations

import copy
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from AttentionSegLib.errors import Cancelled, InputError, OutOfMemory, OutputError
from AttentionSegLib.models import save_model
from AttentionSegLib.training.initial_weights import InitialWeights
from interrupted_training import EPOCHS, NETWORK, STEPS, Folder, after_step
from tiny_training import make_document, write_case

pytest.importorskip("lightning")
from AttentionSegLib.training.callbacks import AtomicCheckpoints
from AttentionSegLib.training.trainer import Trained

pytestmark = pytest.mark.filterwarnings("ignore")
HERE = Path(__file__).parent


def model_of(unbroken: tuple[Folder, Trained], folder: Path, scale: float = 1.0) -> Path:
    """A model folder with the trained network, its weights multiplied by a factor."""
    network = copy.deepcopy(unbroken[1].network)
    with torch.no_grad():
        for weight in network.parameters():
            weight *= scale
    save_model(folder, make_document({"network": NETWORK})["card"], network)
    return folder


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> tuple[Folder, Trained]:
    folder = Folder(tmp_path_factory.mktemp("unbroken"))
    return folder, folder.train()


def assert_same(trained: Trained, expected: Trained) -> None:
    assert (trained.epoch, trained.dice) == (expected.epoch, pytest.approx(expected.dice, abs=1e-6))
    for name, value in expected.network.state_dict().items():
        torch.testing.assert_close(trained.network.state_dict()[name], value, rtol=0, atol=1e-6)


class TestKill:
    @pytest.fixture(scope="class")
    def killed(self, unbroken) -> None:
        """Work folders of trainings that got a signal in the sixth step: killed with checkpoints written always, or once an hour; and told to end."""
        command = [sys.executable, str(HERE / "killed_training.py"), str(unbroken[0].path), "always:6:0:KILL", "hourly:6:60:KILL", "told:6:60:TERM"]
        ended = subprocess.run(command, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGKILL nor fork")
    @pytest.mark.usefixtures("killed")
    @pytest.mark.parametrize(
        ("work", "kept"),
        [("always", 5), ("hourly", 4), ("told", 6)],
        ids=["killed, with a checkpoint of the step before", "killed, with a checkpoint of the epoch before", "told to end by the system"],
    )
    def test_the_rest_is_as_if_it_had_not_been_interrupted(self, unbroken, work, kept):
        folder, expected = unbroken
        assert folder.last(work)["global_step"] == kept
        steps: list[float] = []
        resumed = folder.train(work, on_progress=lambda done, stage, _: steps.append(done) if stage.startswith("epoch") else None)
        assert len(steps) == EPOCHS * STEPS - kept
        assert steps[-1] == 1
        assert_same(resumed, expected)
        here, there = folder.last(work), folder.last()
        assert (here["epoch"], here["global_step"]) == (there["epoch"], there["global_step"]) == (EPOCHS - 1, EPOCHS * STEPS)
        for name, value in there["state_dict"].items():
            torch.testing.assert_close(here["state_dict"][name], value, rtol=0, atol=1e-6)

    def test_a_training_that_has_ended_is_not_repeated(self, unbroken):
        folder, expected = unbroken
        steps: list[str] = []
        again = folder.train(on_progress=lambda _done, stage, _seconds: steps.append(stage))
        assert not any(stage.startswith("epoch") for stage in steps)
        assert_same(again, expected)

    # Forking a process that has run thousands of other tests, with all their threads, can kill it.
    @pytest.mark.slow
    def test_processes_that_make_patches_change_nothing(self, unbroken, monkeypatch):
        folder, expected = unbroken
        monkeypatch.setenv("ATTENTIONSEG_WORKERS", "2")
        assert_same(folder.train("workers"), expected)

    def test_more_epochs_go_on_from_there(self, tmp_path):
        folder = Folder(tmp_path, epochs=1)
        folder.train()
        folder.write({"epochs": 2, "steps_per_epoch": STEPS, "validate_every": 2})
        folder.train()
        assert folder.last()["global_step"] == 2 * STEPS


class TestCheckpoint:
    def test_a_full_disk_leaves_the_one_before(self, tmp_path):
        resource = pytest.importorskip("resource")
        path = tmp_path / "last.ckpt"
        AtomicCheckpoints().save_checkpoint({"step": 1}, path)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        try:
            with pytest.raises(OutputError, match=r"^[^\n]+last\.ckpt cannot be written \(File too large\); [^\n]+\.$"):
                AtomicCheckpoints().save_checkpoint({"step": torch.zeros(100_000)}, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert AtomicCheckpoints().load_checkpoint(path) == {"step": 1}
        assert list(tmp_path.iterdir()) == [path]

    def test_a_damaged_one_is_said_to_be(self, unbroken, tmp_path):
        folder = Folder(tmp_path)
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "last.ckpt").write_bytes((unbroken[0].path / "work" / "last.ckpt").read_bytes()[:5000])
        with pytest.raises(InputError, match=r"^The checkpoint [^\n]+last\.ckpt cannot be read [^\n]+; remove it [^\n]+\.$"):
            folder.train()

    @pytest.mark.parametrize(("name", "value"), [("learning_rate", 0.02), ("batch_size", 2), ("patch_size", [16, 16, 8])])
    def test_a_training_with_other_settings_is_not_mixed_in(self, unbroken, tmp_path, name, value):
        folder = Folder(tmp_path, **{name: value})
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "last.ckpt").write_bytes((unbroken[0].path / "work" / "last.ckpt").read_bytes())
        with pytest.raises(InputError, match=rf"^The work folder [^\n]+ holds a training with another {name}; [^\n]+\.$"):
            folder.train()

    def test_a_training_is_resumed_with_its_initial_weights_or_none(self, unbroken, tmp_path):
        start = model_of(unbroken, tmp_path / "start")
        other = model_of(unbroken, tmp_path / "other", scale=2.0)
        folder = Folder(tmp_path, epochs=1)
        folder.train(initial=InitialWeights(start))
        folder.train(initial=InitialWeights(start))
        folder.train()
        with pytest.raises(InputError, match=r"another source of its initial weights \(--start-from, --pretrained\); start again"):
            folder.train(initial=InitialWeights(other))


class TestWishToStop:
    def test_it_stops_after_the_step_and_goes_on_from_there(self, unbroken, tmp_path):
        folder, expected = unbroken
        asked = []

        def cancel() -> bool:
            asked.append(True)
            # Before the network, three cases and the first epoch, then a step each time.
            return len(asked) == 5 + 7

        with pytest.raises(Cancelled, match=r"^The training was cancelled; [^\n]+\.$"):
            folder.train("cancelled", cancel=cancel)
        assert folder.last("cancelled")["global_step"] == 6
        assert_same(folder.train("cancelled"), expected)

    def test_while_cases_are_prepared(self, tmp_path):
        with pytest.raises(Cancelled):
            Folder(tmp_path).train(cancel=lambda: True)

    def test_while_it_validates(self, tmp_path):
        validating = []
        folder = Folder(tmp_path, epochs=1)
        # The network, three cases, the epoch and its four steps come before the first case of the validation.
        with pytest.raises(Cancelled):
            folder.train(cancel=lambda: validating.append(True) or len(validating) > 5 + STEPS)
        assert len(validating) == 5 + STEPS + 1

    def test_ctrl_c(self, unbroken):
        folder, expected = unbroken
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            folder.train("interrupted", on_progress=after_step(6, KeyboardInterrupt()))
        assert signal.getsignal(signal.SIGINT) is before
        assert_same(folder.train("interrupted"), expected)


class TestEarlyEnd:
    def test_it_ends_when_the_validation_gets_no_better(self, tmp_path):
        folder = Folder(tmp_path, epochs=20, validate_every=2, patience=3, learning_rate=1e-12)
        trained = folder.train()
        # The validation of the second epoch was the best; 3 epochs later is between two validations.
        assert (trained.epoch, folder.last()["global_step"]) == (2, 6 * STEPS)
        again = folder.train()
        assert (again.epoch, folder.last()["global_step"]) == (2, 6 * STEPS)

    def test_more_patience_lets_it_go_on(self, tmp_path):
        folder = Folder(tmp_path, epochs=20, validate_every=1, patience=1, steps_per_epoch=1, learning_rate=1e-12)
        folder.train()
        folder.write({"epochs": 20, "validate_every": 1, "patience": 3, "steps_per_epoch": 1, "learning_rate": 1e-12})
        folder.train()
        assert folder.last()["global_step"] == 4


class TestFailures:
    def test_a_loss_that_is_no_number(self, tmp_path):
        with pytest.raises(InputError, match=r"^The loss became (nan|inf) in epoch 1, step 2; lower the learning rate \(1e\+30\) [^\n]+\.$"):
            Folder(tmp_path, learning_rate=1e30).train()

    def test_a_full_disk(self, tmp_path):
        with pytest.raises(OutputError, match=r"^The disk of [^\n]+ is full; make room [^\n]+\.$"):
            Folder(tmp_path).train(on_progress=after_step(1, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))

    def test_a_disk_without_room_before_the_first_step(self, tmp_path, monkeypatch):
        steps = []
        monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=100_000))
        with pytest.raises(OutputError, match=r"^The disk of [^\n]+ has 0 MB left, and the checkpoints need \d+ MB; make room[^\n]+\.$"):
            Folder(tmp_path).train(on_progress=lambda *told: steps.append(told[1]))
        assert steps
        assert all(stage.startswith("preparing") for stage in steps)

    def test_another_fault_of_the_disk_is_not_called_full(self, tmp_path):
        with pytest.raises(OSError, match="Input/output error"):
            Folder(tmp_path).train(on_progress=after_step(1, OSError(errno.EIO, os.strerror(errno.EIO))))

    def test_too_little_memory(self, tmp_path):
        with pytest.raises(OutOfMemory, match=r"batches of 1 patches of 16 x 16 x 16 voxels; lower batch_size"):
            Folder(tmp_path).train(on_progress=after_step(1, torch.cuda.OutOfMemoryError("CUDA out of memory.")))

    def test_label_maps_without_labels(self, tmp_path):
        folder = Folder(tmp_path)
        image, labels = torch.rand(18, 17, 16).numpy(), torch.zeros(18, 17, 16, dtype=torch.uint8).numpy()
        write_case(tmp_path, "case_3", image, labels)
        with pytest.raises(InputError, match=r"^None of the cases of the role 'val' has a voxel of a label; [^\n]+\.$"):
            folder.train()
