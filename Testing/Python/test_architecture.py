"""The rules of the house, read from the source: who may import whom, and what stays out of where."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from rooms import FLOOR_OF, LIBRARY, LIBRARY_SOURCES, MODULE, SOURCES, Import, imports_of, room_of, tree_of

MAY_IMPORT = {"slicer": {"mrml", "ui"}, "vtk": {"mrml", "ui"}, "qt": {"ui"}, "ctk": {"ui"}}
MAY_PRINT = {"cli", "terminal", "__main__"}
# Of a function.
MOST_ARGUMENTS = 7
HEAVY = ("torch", "monai", "slicer", "vtk", "matplotlib", "SimpleITK", "pydicom", "scipy", "lightning")


def identify(path: Path) -> str:
    return path.relative_to(MODULE).as_posix()


def library_imports() -> Iterator[tuple[Path, Import]]:
    return ((path, found) for path in LIBRARY_SOURCES for found in imports_of(path))


class TestRooms:
    """Each test names every line that breaks its rule."""

    def test_imports_only_go_down(self):
        wrong = []
        for path, (module, line) in library_imports():
            room, parts = room_of(path), module.split(".")
            target = parts[1] if parts[0] == "AttentionSegLib" else ""
            if target in FLOOR_OF and target != room and FLOOR_OF[target] >= FLOOR_OF[room]:
                wrong.append(f"{identify(path)}:{line}: {room} imports {target}, which is not on a lower floor")
        assert wrong == []

    def test_slicer_and_qt_stay_in_their_rooms(self):
        wrong = []
        for path, (module, line) in library_imports():
            allowed = MAY_IMPORT.get(module.split(".")[0])
            if allowed is not None and room_of(path) not in allowed:
                wrong.append(f"{identify(path)}:{line}: {module} belongs in {' and '.join(sorted(allowed))}")
        assert wrong == []

    def test_rooms_import_each_other_relatively(self):
        wrong = []
        for path in LIBRARY_SOURCES:
            from_imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and not node.level]
            wrong += [f"{identify(path)}:{node.lineno}" for node in from_imports if node.module.split(".")[0] == "AttentionSegLib"]
        assert wrong == []


def test_no_files_import_each_other_in_a_circle():
    """Not even inside functions or for types alone."""
    files = {".".join(path.relative_to(MODULE).with_suffix("").parts).removesuffix(".__init__"): path for path in LIBRARY_SOURCES}
    imported: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        for module, _line in imports_of(path):
            target = module if module in files else module.rpartition(".")[0]
            imported[name] |= {target} & files.keys() - {name}
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_every_room_has_its_floor():
    rooms = {room_of(path) for path in LIBRARY_SOURCES} - {"__init__"}
    assert rooms <= FLOOR_OF.keys()


def test_the_package_itself_imports_nothing():
    assert [found for found in imports_of(LIBRARY / "__init__.py") if not found.module.startswith("__future__")] == []


def test_slicer_starts_without_anything_that_may_still_have_to_be_installed():
    tree = ast.parse((MODULE / "AttentionSeg.py").read_text(encoding="utf-8"))
    roots = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add(node.module.split(".")[0])
    assert roots - sys.stdlib_module_names <= {"qt", "ctk", "slicer", "vtk"}


class TestStart:
    """What a fresh interpreter has loaded after an import: seconds of start-up time."""

    def loaded_after(self, statement: str) -> set[str]:
        code = f"import sys; {statement}; print(*(name for name in {HEAVY} if name in sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], cwd=MODULE, capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    def test_the_package_loads_nothing_heavy(self):
        assert self.loaded_after("import AttentionSegLib") == set()

    def test_what_lists_reads_and_checks_needs_no_torch(self):
        rooms = ("models", "files", "batch", "cli", "reporting", "inference")
        assert not self.loaded_after(f"import {', '.join(f'AttentionSegLib.{room}' for room in rooms)}") & {
            "torch",
            "monai",
            "slicer",
            "vtk",
            "lightning",
        }

    def test_listing_models_needs_no_torch(self):
        listed = "from AttentionSegLib.models import list_models; list_models()"
        assert not self.loaded_after(listed) & {"torch", "monai", "SimpleITK", "matplotlib"}


class TestFiles:
    """Each test names every file, or line, that breaks its rule."""

    def test_each_is_short_enough_to_be_one_thing(self):
        assert [identify(path) for path in LIBRARY_SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > 260] == []

    def test_no_function_takes_more_than_seven_arguments(self):
        long = []
        for path in LIBRARY_SOURCES:
            functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef)]
            for function in functions:
                given = function.args
                names = {one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg) if one} - {"self", "cls"}
                long += [f"{identify(path)}:{function.lineno} {function.name}: {len(names)}"] if len(names) > MOST_ARGUMENTS else []
        assert long == []

    def test_each_compiles_for_the_oldest_python_that_slicer_brings(self):
        for path in SOURCES:
            ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 9))

    def test_unions_in_annotations_are_not_evaluated(self):
        """`int | None` is an error at run time before Python 3.10."""
        evaluating = [path for path in SOURCES if "from __future__ import annotations\n" not in path.read_text(encoding="utf-8")]
        unions = [
            f"{identify(path)}:{node.lineno}"
            for path in evaluating
            for annotation in annotations_of(tree_of(path))
            for node in ast.walk(annotation)
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
        ]
        assert unions == []

    def test_arguments_newer_than_the_oldest_python_are_not_used(self):
        newer = {"dataclass": {"slots", "kw_only"}, "zip": {"strict"}, "dataclasses.dataclass": {"slots", "kw_only"}}
        used = [
            f"{identify(path)}:{call.lineno}: {keyword.arg}"
            for path in SOURCES
            for call in calls_of(path)
            for keyword in call.keywords
            if keyword.arg in newer.get(ast.unparse(call.func), set())
        ]
        assert used == []

    def test_only_what_talks_to_a_terminal_prints(self):
        prints = [
            f"{identify(path)}:{call.lineno}"
            for path in SOURCES
            if not {path.stem, path.parent.name} & MAY_PRINT
            for call in calls_of(path)
            if isinstance(call.func, ast.Name) and call.func.id in ("print", "breakpoint", "pprint")
        ]
        assert prints == []


def calls_of(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))


def annotations_of(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if annotation is not None:
                yield annotation
