"""Search of a folder for cases: the walk, the cases found and the files skipped."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..files import DicomSeries
from ..files.formats import ENDINGS, SEGMENTATION
from ..files.names import extension, without_parents
from ..files.own_files import own_file
from ..region import Region
from .manifest import MANIFEST, is_manifest

VOLUME_ENDINGS = tuple(ending for ending in ENDINGS if ending != SEGMENTATION)
# Name of the subfolder for cases in a folder of results.
CASES = "cases"


@dataclass(frozen=True, eq=False)
class Found:
    """The scans of one case.

    Attributes:
        title: name of the case, before names are made unique and valid for a folder.
        key: identifies the case within the source, independently of the path of the source.
        inputs: one scan per input of the model; empty if there is a problem.
        region: box in RAS mm.
        problem: a sentence why the case cannot be run.
    """

    title: str
    key: str
    inputs: tuple[os.PathLike, ...]
    region: Region | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A file, folder or series that is not a case, and why."""

    path: str
    reason: str


@dataclass
class Search:
    """A walk through a folder that collects cases and skipped files.

    Args:
        root: where to search.
        output: not searched, and neither is any other folder with the results of a batch.
        recursive: whether to search subfolders.
        pattern: that file names have to match.
    """

    root: Path
    output: Path | None
    recursive: bool
    pattern: str | None
    found: list[Found] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def files(self) -> Iterator[tuple[Path, list[Path]]]:
        """All folders with their files, in alphabetical order, without hidden ones."""
        output = None if self.output is None else os.path.realpath(self.output)
        for here, folders, names in os.walk(self.root, onerror=self._unreadable):
            folder = Path(here)
            if os.path.realpath(folder) == output:
                folders.clear()
                continue
            if MANIFEST in names and is_manifest(folder / MANIFEST):
                self.skip(folder, "results of a batch")
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if not name.startswith(".")) if self.recursive else []
            yield folder, [path for path in sorted(folder / name for name in names) if self._is_wanted(path)]

    def _is_wanted(self, path: Path) -> bool:
        if path.name.startswith(".") or not self.matches(path.name):
            return False
        made = own_file(path) if extension(path) in ENDINGS else None
        if made is not None:
            self.skip(path, made.title)
        return made is None

    def matches(self, name: str) -> bool:
        """Whether a file name matches the pattern."""
        if self.pattern is None:
            return True
        # Extensions are not case-sensitive anywhere.
        ending = extension(name)
        return any(fnmatch.fnmatchcase(one, self.pattern) for one in (name, name[: len(name) - len(ending)] + ending))

    def relative(self, path: os.PathLike) -> str:
        """A path relative to the root, with `/` between folders; that of a series includes its identifier."""
        place = Path(path).relative_to(self.root).as_posix()
        return f"{place}#{path.uid}" if isinstance(path, DicomSeries) else place

    def add(self, title: str, *inputs: os.PathLike, problem: str | None = None) -> None:
        """Add a case."""
        key = " ".join(self.relative(path) for path in inputs)
        self.found.append(Found(title, key or title, () if problem else inputs, problem=problem))

    def skip(self, path: object, reason: str) -> None:
        """Record what is skipped."""
        self.skipped.append(Skipped(without_parents(str(path), self.root), reason))

    def _unreadable(self, error: OSError) -> None:
        self.skip(error.filename, f"cannot be searched ({error.strerror})")


def without_extension(path: str) -> str:
    """A path without the extension of a volume."""
    ending = extension(path)
    return path[: -len(ending)] if ending in VOLUME_ENDINGS else path
