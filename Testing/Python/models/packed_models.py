"""Models as one file: what lies in it, how to change it, and the sentence with which it is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import import_model, user_folder

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (128).to_bytes(4, "big") * 2 + b"and so on"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def repack(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def with_file(packed: Path, name: str, content: bytes = b"x") -> Path:
    return repack(packed, {**entries(packed), name: content})


def refused(path: Path) -> str:
    """The sentence with which a file is refused; nothing of it may be left."""
    before = sorted(user_folder().rglob("*"))
    with pytest.raises(InputError, match=r"^[^\n]+[;,] [^\n]+\.$") as caught:
        import_model(path)
    assert sorted(user_folder().rglob("*")) == before
    return str(caught.value)
