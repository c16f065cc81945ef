"""The manifest of a batch: a line per finished case, written at once, from which a killed run is resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..options import RunOptions
from ..writing import write_text, writing

MANIFEST = "manifest.jsonl"
DONE, FAILED = "done", "failed"
# Version of a line, increased when readers of the previous version would misread it. Lines without a number have version 0.
SCHEMA_VERSION = 2
# Keys that every label of a line has; other statistics were added later.
_OF_EVERY_LABEL = {"value", "name", "voxels", "milliliters"}


@dataclass(frozen=True)
class Entry:
    """One line of the manifest.

    Attributes:
        case: name of the case.
        state: `done` or `failed`.
        inputs: paths of the scans.
        stamp: checksum of names, sizes and times of the input files; None if they could not be read.
        sha256: of the contents of the input files; None if they could not be read.
        model: id and version.
        weights_sha256: of the model.
        options: other options that the results depend on: maps, format, region.
        seconds: for reading, computing and writing.
        outputs: size in bytes of each result file, the segmentation first; empty for a failed case.
        labels: value, name and the then existing statistics of each label; empty for a failed case.
        device: that computed it.
        notes: deviations from what was asked for.
        misfits: differences between the scans and the model's training data.
        error: one sentence, for a failed case.
        date: end of the run, UTC.
    """

    case: str
    state: str
    inputs: list[str]
    stamp: str | None
    sha256: str | None
    model: str
    weights_sha256: str
    options: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    labels: list[dict[str, Any]] = field(default_factory=list)
    device: str | None = None
    notes: list[str] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    error: str | None = None
    date: str = ""


class Manifest:
    """A file of JSON lines, of which the last one of each case counts.

    A line is added when a case ends, and is on the disk before the next one; an incomplete line of a killed run is ignored.

    Args:
        path: the file; it need not exist.

    Raises:
        InputError: if it cannot be read, is not a manifest, or was written by a newer version with another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {entry.case: entry for entry in _read(path)}

    def keep(self, names: Iterable[str]) -> None:
        """Rewrite the file atomically, with one line for each of these cases. Raises OutputError if it cannot be written."""
        self.entries = {name: self.entries[name] for name in sorted(names)}
        write_text(self.path, "".join(map(_line, self.entries.values())))

    def add(self, entry: Entry) -> None:
        """Record how a case ended. Raises OutputError if it cannot be written."""
        with writing(self.path), open(self.path, "ab") as file:
            file.write(_line(entry).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        self.entries[entry.case] = entry


def is_manifest(path: Path) -> bool:
    """Whether a file is the manifest of a batch, judged by its first line."""
    try:
        with open(path, "rb") as file:
            first = json.loads(file.readline() or b"null")
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and {"case", "weights_sha256"} <= first.keys()


def _line(entry: Entry) -> str:
    return json.dumps({"schema": SCHEMA_VERSION, **asdict(entry)}, ensure_ascii=False, allow_nan=False) + "\n"


def _read(path: Path) -> Iterable[Entry]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        msg = f"The manifest {path} cannot be read ({error.strerror or error}); check the disk and the permissions, or choose another folder."
        raise InputError(msg) from error
    *lines, _piece = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            document = json.loads(line)
            version = document.pop("schema", 0)
            entry = None if version > SCHEMA_VERSION else _entry(document)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            msg = f"Line {number} of {path} is not one of a manifest; restore the file, or remove it to segment all cases again."
            raise InputError(msg) from error
        if entry is None:
            msg = f"{path} is of a newer version of AttentionSeg (manifest schema {version}, not {SCHEMA_VERSION}); update, or choose another folder."
            raise InputError(msg)
        yield entry


def _entry(document: dict[str, Any]) -> Entry:
    # Checked now, and not when the results are written after all cases.
    if not all(label.keys() >= _OF_EVERY_LABEL for label in document.get("labels", ())):
        raise KeyError(*_OF_EVERY_LABEL)
    # A line without an option was written before the option existed: its run was as by default.
    return Entry(**{**document, "options": {**RunOptions().of_files(), **document["options"]}})
