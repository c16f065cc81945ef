"""The parser of the command line for the page of the reference: its texts as reStructuredText."""

from __future__ import annotations

import argparse

from AttentionSegLib.cli import _parser


def documented_parser() -> argparse.ArgumentParser:
    parser = _parser()
    for action in _actions(parser):
        if action.help:
            action.help = action.help.replace("*", r"\*")
    return parser


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [inner for command in action.choices.values() for inner in _actions(command)]
    return found
