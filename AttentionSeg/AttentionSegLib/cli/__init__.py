"""The command line: `attentionseg segment | batch | evaluate | train | models`, a file for each command."""

from __future__ import annotations

import argparse
import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from .. import RESEARCH_ONLY
from ..errors import AttentionSegError, Cancelled, InterruptedAfterwards, memory_for
from ..revision import version_text
from ..waiting_threads import let_waiting_threads_sleep
from . import batch, evaluate, models, segment, train

COMMANDS = (segment, batch, evaluate, train, models)
EXIT_CODES = (
    "Exit code: 0 when all results were written, 1 when a disk failed or was full or there was not enough memory, 2 for bad input, "
    f"{batch.SOME_FAILED} when some cases of a batch failed (report.html says why), {Cancelled.exit_code} when interrupted."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code; see EXIT_CODES.
    """
    _print_any_text()
    let_waiting_threads_sleep()
    options = _parser().parse_args(_joined_region(sys.argv[1:] if arguments is None else list(arguments)))
    try:
        with _interrupted_by_signals(), memory_for("this command"):
            return options.run(options)
    except (AttentionSegError, OSError) as error:
        print(f"attentionseg: {error}", file=sys.stderr)
        return getattr(error, "exit_code", AttentionSegError.exit_code)
    except KeyboardInterrupt as error:
        when = " after the results were written" if isinstance(error, InterruptedAfterwards) else ", nothing was written"
        print(f"attentionseg: interrupted{when}.", file=sys.stderr)
        return Cancelled.exit_code


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command as Ctrl+C does, with cleanup and a message; SIGHUP stays ignored under `nohup`."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Python handles signals in the main thread only.
    is_main = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if is_main and hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_any_text() -> None:
    # Labels and paths may have characters that the terminal's encoding lacks; this must not end a run whose results are written.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _joined_region(arguments: list[str]) -> list[str]:
    """Join `--region -25,...` to `--region=-25,...`, because argparse takes a value that begins with a minus sign for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--region":
            joined[-1] = f"--region={argument}"
        else:
            joined.append(argument)
    return joined


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="attentionseg", description=f"Segment scans and see where the network looked. {RESEARCH_ONLY}", epilog=EXIT_CODES
    )
    parser.add_argument("--version", action="version", version=version_text())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_command(commands)
    for one in commands.choices.values():
        one.epilog = " ".join(filter(None, [one.epilog, EXIT_CODES]))
    return parser
