"""What became of each case, on disk from one moment to the next: a run that is killed knows at its next start what is done."""

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
# Of a line; raised when a reader of the version before would misread it. Lines without a number are of version 0.
SCHEMA_VERSION = 2
# What every label of a line has; other statistics came later, or are still to come.
_OF_EVERY_LABEL = {"value", "name", "voxels", "milliliters"}


@dataclass(frozen=True)
class Entry:
    """One line of the manifest.

    Attributes:
        case: its name.
        state: `done` or `failed`.
        inputs: the scans as they were found.
        stamp: of names, sizes and times of the input files; None where they could not be read.
        sha256: of the contents of the input files; None where they could not be read.
        model: id and version.
        weights_sha256: of the model.
        options: what else decides on the results: maps, format, region.
        seconds: reading, computing and writing.
        outputs: bytes of each result file, the segmentation first; empty for a failed case.
        labels: value, name and statistics of each label, as far as they were known then; empty for a failed case.
        device: what computed it.
        notes: what was done other than asked.
        misfits: in which ways the scans are not as those that the model was trained on.
        error: one sentence, for a failed case.
        date: when it ended, UTC.
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
    """A file of JSON lines, of which the last of each case counts.

    A line is added when a case ends, and is on the disk before the next; a kill in mid-line leaves a piece of a line, which counts as none.

    Args:
        path: the file; it need not exist.

    Raises:
        InputError: if it cannot be read, is no manifest, or was written by a newer version with another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {entry.case: entry for entry in _read(path)}

    def keep(self, names: Iterable[str]) -> None:
        """Rewrite the file, in one step, with one line for each of these cases. OutputError if it cannot be written."""
        self.entries = {name: self.entries[name] for name in sorted(names)}
        write_text(self.path, "".join(map(_line, self.entries.values())))

    def add(self, entry: Entry) -> None:
        """Record how a case ended. OutputError if it cannot be written."""
        with writing(self.path), open(self.path, "ab") as file:
            file.write(_line(entry).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        self.entries[entry.case] = entry


def is_manifest(path: Path) -> bool:
    """Whether a file is the manifest of a batch, by its first line."""
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
    # Now rather than when the results are written, after all cases.
    if not all(label.keys() >= _OF_EVERY_LABEL for label in document.get("labels", ())):
        raise KeyError(*_OF_EVERY_LABEL)
    # Of a line from before there was an option the run was as by default.
    return Entry(**{**document, "options": {**RunOptions().of_files(), **document["options"]}})
