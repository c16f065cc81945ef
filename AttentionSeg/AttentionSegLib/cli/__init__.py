"""The command line: `attentionseg segment | batch | evaluate | train | models`, a file for each command."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from .. import RESEARCH_ONLY
from ..errors import InputError
from ..revision import version_text
from . import batch, evaluate, models, segment, train

COMMANDS = (segment, batch, evaluate, train, models)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0 when all that was asked for was written, 2 for bad input, 1 when a disk, a folder or memory failed, 3 when some cases of a
        batch failed, 130 when interrupted.
    """
    _print_any_text()
    options = _parser().parse_args(_joined_region(sys.argv[1:] if arguments is None else list(arguments)))
    try:
        return options.run(options)
    except InputError as error:
        print(f"attentionseg: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"attentionseg: {error}; nothing was written, make room or choose another folder and run again.", file=sys.stderr)
        return 1
    except MemoryError:
        print("attentionseg: there is not enough memory for this scan; nothing was written, close other programs or give a region.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("attentionseg: interrupted, nothing was written.", file=sys.stderr)
        return 130


def _print_any_text() -> None:
    # Labels and paths may hold letters that the terminal's encoding lacks; they must not end a run whose results are written.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _joined_region(arguments: list[str]) -> list[str]:
    """`--region -25,...` as `--region=-25,...`, because argparse takes a value that begins with a minus sign for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--region":
            joined[-1] = f"--region={argument}"
        else:
            joined.append(argument)
    return joined


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="attentionseg", description=f"Segment scans and see where the network looked. {RESEARCH_ONLY}")
    parser.add_argument("--version", action="version", version=version_text())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_command(commands)
    return parser
