"""The source as a house: its rooms, their floors, and what each file imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = REPOSITORY / "AttentionSeg"
LIBRARY = MODULE / "AttentionSegLib"
SOURCES = sorted(MODULE.rglob("*.py"))
LIBRARY_SOURCES = sorted(LIBRARY.rglob("*.py"))
# From the ground up. A room imports its own files and lower floors; the package itself (its version) is open to all.
FLOORS = [
    ["boxes", "components", "errors", "map_kinds", "revision", "user_folders", "waiting_threads", "written_names"],
    ["lock", "options", "progress", "writing"],
    ["image", "network_names"],
    ["region", "same_grid", "networks"],
    ["models"],
    ["files"],
    ["inference"],
    ["reporting"],
    ["datasets"],
    ["planning", "evaluation", "batch", "mrml"],
    ["training"],
    ["ui", "terminal"],
    ["cli"],
    ["__main__"],
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


class Import(NamedTuple):
    module: str
    line: int


def imports_of(path: Path) -> Iterator[Import]:
    """Every module that a file imports, wherever in the file, by its absolute name; `from a import b` counts as `a.b`."""
    package = path.relative_to(MODULE).parent.parts
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*parent, *filter(None, [node.module])])
            yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in node.names)


def room_of(path: Path) -> str:
    first = path.relative_to(LIBRARY).parts[0]
    return first.removesuffix(".py")
