"""Runs `attentionseg segment` again and again in this process, under limits that only a process of its own may have.

Called with a scan, a large scan, one too large to be read and a folder; prints how each run ended: {case: [exit code, standard error]}.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path

from AttentionSegLib.cli import main

LARGEST_FILE = 20_000
MORE_MEMORY = 200_000_000


@contextmanager
def limit(kind: int, size: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def memory_taken() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


class SignalsWhen(io.StringIO):
    """A terminal that sends a signal once it shows a word."""

    def __init__(self, word: str, number: int) -> None:
        super().__init__()
        self.word, self.number = word, number

    def write(self, text: str) -> int:
        if self.word and self.word in text:
            self.word = ""
            os.kill(os.getpid(), self.number)
        return super().write(text)


def run(scan: str, folder: Path, model: str = "tiny-unet", word: str = "", number: int = signal.SIGINT, told: str = "") -> tuple[int, str]:
    """Segment; `number` is sent when standard error shows `word`, or standard output `told`."""
    with redirect_stdout(SignalsWhen(told, number)), redirect_stderr(SignalsWhen(word, number)) as said:
        code = main(["segment", scan, "--model", model, "--output", str(folder), "--device", "cpu", "--backend", "torch"])
    return code, said.getvalue()


def all_runs(scan: str, large: str, too_large: str, folder: Path) -> dict[str, tuple[int, str]]:
    # The first one takes what later ones need: libraries and threads.
    cases: dict[str, Callable[[], tuple[int, str]]] = {
        "done": lambda: run(scan, folder / "done"),
        "bad input": lambda: run(scan, folder / "new", model="none"),
        "full disk": lambda: run(scan, folder / "new"),
        "memory, reading": lambda: run(too_large, folder / "new"),
        "memory, computing": lambda: run(large, folder / "new"),
        "interrupted": lambda: run(scan, folder / "new", word="network"),
        "interrupted afterwards": lambda: run(scan, folder / "done", told=".nrrd"),
        "told to end": lambda: run(scan, folder / "new", word="network", number=signal.SIGTERM),
        "terminal closed": lambda: run(scan, folder / "new", word="network", number=signal.SIGHUP),
    }
    ended = {}
    for name, call in cases.items():
        limits = {"full": (resource.RLIMIT_FSIZE, LARGEST_FILE), "memory,": (resource.RLIMIT_AS, memory_taken() + MORE_MEMORY)}
        given = limits.get(name.split()[0])
        with limit(*given) if given else nullcontext():
            ended[name] = call()
    return ended


if __name__ == "__main__":
    # They may be ignored where the tests run in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    print(json.dumps(all_runs(*sys.argv[1:4], Path(sys.argv[4]))))
