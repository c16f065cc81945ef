"""What the pages say is there: links, pictures, Python names, commands and options, rooms, and one version."""

from __future__ import annotations

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from AttentionSegLib import __version__
from AttentionSegLib.cli import _joined_region, _parser
from rooms import FLOOR_OF

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = re.compile(
    r"https://(?:raw\.githubusercontent\.com/AttentionSeg/SlicerAttentionSeg|github\.com/AttentionSeg/SlicerAttentionSeg/(?:blob|tree))/main/"
)
PAGES = sorted([*REPOSITORY.glob("*.md"), *(path for path in REPOSITORY.glob("docs/**/*.md") if "_build" not in path.parts)])
# Of packages that no test needs, and of nodes that a scene would have.
ELSEWHERE = {"dask", "dask_jobqueue"}


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def blocks(language: str) -> list[tuple[str, str]]:
    """The code blocks in a language, each with its page."""
    found = []
    for page in PAGES:
        parts = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        found += [(name_of(page), code) for given, code in parts if given == language]
    return found


def test_every_page_is_found():
    assert {"README.md", "CONTRIBUTING.md", "docs/index.md", "docs/reference/command-line.md"} <= {name_of(page) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_pictures_of_this_repository_are_there(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        place = link.partition("#")[0]
        target = REPOSITORY / OURS.sub("", place) if OURS.match(place) else page.parent / place
        if place and (OURS.match(place) or "://" not in place) and not target.exists():
            missing.append(link)
    assert missing == []


def test_pictures_of_the_readme_have_whole_addresses():
    """The package index shows it too, which has no other files."""
    assert [link for link in re.findall(r"\]\(([^)\s]+)\)", (REPOSITORY / "README.md").read_text(encoding="utf-8")) if "://" not in link] == []


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_python_compiles_and_what_it_imports_is_there(page, code):
    for node in ast.walk(ast.parse(code, page)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] not in ELSEWHERE:
            module = import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_commands_have_the_options_that_the_command_line_has():
    commands = [shlex.split(line) for _page, code in blocks("") for line in code.splitlines() if line.startswith("attentionseg ")]
    assert {words[1] for words in commands} == {"segment", "batch", "evaluate", "train", "models"}
    for words in commands:
        _parser().parse_args(_joined_region(words[1:]))


def test_scripts_in_commands_are_there():
    lines = [line for _page, code in blocks("") for line in code.splitlines()]
    scripts = {word for line in lines for word in line.split() if word.startswith("Testing/") and word.endswith(".py")}
    assert "Testing/run.py" in scripts
    assert [script for script in sorted(scripts) if not (REPOSITORY / script).is_file()] == []


def test_the_figure_of_the_architecture_has_every_package_on_its_floor():
    figure = (REPOSITORY / "docs" / "contributor" / "architecture.svg").read_text(encoding="utf-8")
    shown = [name.split(" · ") for name in re.findall(r'font-weight="bold"[^>]*>([^<]+)<', figure)][1:]
    packages = {path.parent.name for path in (REPOSITORY / "AttentionSeg" / "AttentionSegLib").glob("*/__init__.py")}
    assert packages <= {room for rooms in shown for room in rooms}
    assert [{FLOOR_OF[room] for room in rooms} for rooms in shown] == [{number} for number in reversed(range(len(shown)))]


def test_the_citation_has_the_version():
    text = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in text
