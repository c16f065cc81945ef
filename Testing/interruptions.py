"""Commands that are interrupted at random instants: what they leave, in a table.

    python Testing/interruptions.py [--count 40] [--seed 1] [--only COMMAND ...]

Runs `segment`, `batch`, `evaluate`, `train` and the import of a model on small scans, and ends each COUNT times with Ctrl-C and COUNT times with
SIGKILL at an instant drawn from the time that it takes. After that its output has to be complete or not there (a batch: each case; a work folder of a
training may hold anything), no process may go on, and the same command has to succeed, write the same files, and leave no hidden folder. The exit
code is 0 if all of this held. For Linux; each run is a fork, so that the libraries are imported once.
"""

from __future__ import annotations

import argparse
import collections
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "Python"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "Python" / "training"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "AttentionSeg"))
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.errors import Cancelled
from AttentionSegLib.inference.backends import BACKEND_VARIABLE
from AttentionSegLib.models.archive import export_model
from AttentionSegLib.writing import HIDDEN, SETTLING_SECONDS
from tiny_models import save_unet
from tiny_training import make_document, write_cases, write_recipe

SIGNALS = {"Ctrl-C": signal.SIGINT, "SIGKILL": signal.SIGKILL}
COMMANDS = ("segment", "batch", "evaluate", "train", "import")
OUTCOMES = ("nothing", "complete", "finished before", "half an output", "a process goes on", "cannot go on", "other files", "hidden folders")
BAD = OUTCOMES[3:]
# Later than the end of an uninterrupted run by this share, to interrupt its last steps as well.
BEYOND = 1.1
# Runs that are timed; the shortest counts, because other programs may take the processor.
TIMED = 3


@dataclass(frozen=True)
class Command:
    """A command to interrupt.

    Attributes:
        words: from the folder for its output.
        whole: the folders, below this one, each of which is complete or not there.
        again: whether it can be given again when it is done.
    """

    words: Callable[[Path], list[str]]
    whole: str
    again: bool = True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40, help="interruptions of each command by each signal (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the instants (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, metavar="COMMAND", help="of segment, batch, evaluate, train and import (default: all)")
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    torch.set_num_threads(1)
    os.environ[BACKEND_VARIABLE] = "torch"
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bad = 0
    print(f"| command | seconds | signal | {' | '.join(OUTCOMES)} |\n| --- {'| --- ' * (2 + len(OUTCOMES))}|")
    with tempfile.TemporaryDirectory() as folder:
        commands = make_commands(Path(folder))
        for name in options.only or COMMANDS:
            command = commands[name]
            expected, seconds = undisturbed(command, Path(folder) / "undisturbed" / name)
            for title, number in SIGNALS.items():
                found = collections.Counter(
                    interrupted(command, Path(folder) / f"{name}-{title}-{turn}", number, random.uniform(0, BEYOND * seconds), expected)
                    for turn in range(options.count)
                )
                print(f"| {name} | {seconds:.1f} | {title} | {' | '.join(str(found[outcome]) for outcome in OUTCOMES)} |", flush=True)
                bad += sum(found[outcome] for outcome in BAD)
    return int(bad > 0)


def make_commands(folder: Path) -> dict[str, Command]:
    data = folder / "data"
    data.mkdir()
    split = write_cases(data)
    recipe = write_recipe(data, make_document(epochs=2))
    model = save_unet(data / "model", id="tiny-unet")
    export_model(model, data / "model.zip")
    images, labels = str(data / "images"), str(data / "labels")
    run = ["--model", str(model), "--device", "cpu"]
    training = ["--images", images, "--labels", labels, "--split", str(split), "--device", "cpu", "--plan", str(recipe)]
    return {
        "segment": Command(lambda out: ["segment", f"{images}/case_1.nii.gz", "--output", str(out / "whole"), *run], "whole"),
        "batch": Command(lambda out: ["batch", images, "--output", str(out), *run], "cases/*"),
        "evaluate": Command(lambda out: ["evaluate", "--images", images, "--labels", labels, "--output", str(out / "whole"), *run], "whole"),
        "train": Command(lambda out: ["train", *training, "--output", str(out / "whole"), "--work", str(out / "work")], "whole"),
        "import": Command(lambda out: ["models", "--import", str(data / "model.zip")], "AttentionSeg/Models/*", again=False),
    }


def undisturbed(command: Command, out: Path) -> tuple[dict[str, set[str]], float]:
    """The names of the files in each folder that has to be whole, and the seconds that a run takes."""
    # The first run is in this process, which so imports what the forks need.
    first = out.with_name(f"{out.name} first")
    first.mkdir(parents=True)
    os.environ["XDG_DATA_HOME"] = str(first)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        codes = [attentionseg(command.words(first))]
    seconds = []
    for turn in range(TIMED):
        started = time.monotonic()
        codes.append(ended(start(command, out if turn == 0 else out.with_name(f"{out.name} {turn}"))))
        seconds.append(time.monotonic() - started)
    if any(codes):
        msg = f"The command {command.words(out)} ends with the exit codes {codes} without an interruption."
        raise RuntimeError(msg)
    return contents(command, out), min(seconds)


def interrupted(command: Command, out: Path, number: signal.Signals, seconds: float, expected: dict[str, set[str]]) -> str:
    """The outcome of a command that is interrupted after so many seconds, and run again."""
    process = start(command, out)
    time.sleep(seconds)
    os.kill(process, number)
    code = ended(process)
    if goes_on(process):
        return "a process goes on"
    found = contents(command, out)
    if any(files != expected[name] for name, files in found.items()):
        return "half an output"
    if number == signal.SIGINT and hidden_in(out):
        return "hidden folders"
    # The next run takes only those for abandoned that are not quite new.
    for hidden in hidden_in(out):
        os.utime(hidden, 2 * (time.time() - 2 * SETTLING_SECONDS,))
    if code and (command.again or not found):
        if ended(start(command, out)):
            return "cannot go on"
        if contents(command, out) != expected:
            return "other files"
        if hidden_in(out):
            return "hidden folders"
    outcome = "finished before" if code == 0 else "complete" if found else "nothing"
    shutil.rmtree(out)
    return outcome


def start(command: Command, out: Path) -> int:
    """The process id of the command, in a group of its own."""
    out.mkdir(parents=True, exist_ok=True)
    process = os.fork()
    if process:
        return process
    os.setpgid(0, 0)
    os.environ["XDG_DATA_HOME"] = str(out)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    # An interruption may come before or after the part that handles it.
    code = Cancelled.exit_code
    try:
        code = attentionseg(command.words(out))
    finally:
        os._exit(code)


def ended(process: int) -> int:
    """The exit code of a process when it ends, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def goes_on(group: int) -> bool:
    """Whether a process of the group is still there after five seconds."""
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return True


def contents(command: Command, out: Path) -> dict[str, set[str]]:
    """By its name, the files in each folder that has to be whole; of an interrupted run, only those that are there."""
    folders = {folder.name: visible_files(folder) for folder in out.glob(command.whole) if not folder.name.startswith(HIDDEN)}
    return {name: files for name, files in folders.items() if files}


def visible_files(folder: Path) -> set[str]:
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    return {name for name in files if HIDDEN not in name}


def hidden_in(out: Path) -> list[Path]:
    return list(out.rglob(f"{HIDDEN}*"))


if __name__ == "__main__":
    sys.exit(main())
