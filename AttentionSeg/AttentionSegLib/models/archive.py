"""Export of models to .zip files, and import from .zip files or folders, which need not be trusted."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile

from ..errors import InputError
from ..writing import atomic_folder, atomic_path
from .card import CARD_NAME, THUMBNAIL_NAME, WEIGHTS_NAME, Card
from .catalogue import find_model, list_models, user_folder
from .found_by import Template, check_template
from .model_files import LARGEST_OTHER, ModelFile, chunks, file_of, model_files

TEMPLATE_ENDING = ".nii.gz"
TEXT_NAME = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|README|CITATION|CHANGELOG)(\.(txt|md|rst|cff))?", re.IGNORECASE)
PARTS = f"{CARD_NAME}, {WEIGHTS_NAME}, {THUMBNAIL_NAME}, the template that its card names, and texts such as LICENSE or README.md"
# Bytes.
LARGEST_WEIGHTS = 4_000_000_000
# Largest width and height of the thumbnail, in pixels.
LARGEST_PICTURE = 512


def import_model(path: str | os.PathLike) -> Path:
    """Copy a model into the user's model folder, completely or not at all.

    Names, sizes and card are checked before anything is written. The model appears only after the SHA-256 of the weights is checked against the card
    and they are loaded into its network.

    Args:
        path: a .zip as `export_model` writes it, a model folder, or the card in one.

    Returns:
        Its folder, named after the id of the model.

    Raises:
        InputError: if it is damaged, is not a model, contains other or too large files, cannot run, or a model of that id exists already.
        OutputError: if it cannot be written.
    """
    path = Path(path)
    path = path.parent if path.name == CARD_NAME else path
    with model_files(path) as files:
        card = _check(files, path)
        there = {entry.id: entry.folder for entry in list_models()}
        target = user_folder() / card.id
        if card.id in there or target.exists():
            msg = f"There is already a model '{card.id}' at {there.get(card.id, target)}; remove that one first, or give the new one another id."
            raise InputError(msg)
        with atomic_folder(target) as temporary:
            _copy(files, card, path, lambda name: (temporary / name).open("wb"))
            # Imported here because torch takes seconds.
            from .weights import load_model

            load_model(temporary, f"nothing was taken from {path}, get the model from its author")
    return target


def export_model(name: str | os.PathLike, path: str | os.PathLike) -> Path:
    """Write a model to a .zip that `import_model` can read, completely or not at all. An existing file is replaced.

    Args:
        name: see `find_model`.
        path: the file to write; `.zip` is added if it is missing. In a folder that exists it is called as the id of the model.

    Returns:
        The file.

    Raises:
        InputError: if there is no such model, or its files do not match its card.
        OutputError: if the file cannot be written.
    """
    folder, path = find_model(name), Path(path)
    described = Card.load(folder / CARD_NAME)
    if path.is_dir():
        path = path / described.id
    path = path if path.suffix.lower() == ".zip" else path.with_name(f"{path.name}.zip")
    found_by = described.found_by
    template = found_by.file if isinstance(found_by, Template) else None
    wanted = [part for part in sorted(folder.iterdir()) if _is_part(part.name) and part.is_file()]
    # A model folder may contain other images, which must not be exported.
    files = {part.name: file_of(part) for part in wanted if not part.name.endswith(TEMPLATE_ENDING) or part.name == template}
    card = _check(files, folder)
    with atomic_path(path) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED) as archive:
        _copy(files, card, folder, lambda name: archive.open(f"{card.id}/{name}", "w", force_zip64=True))
    return path


def _is_part(name: str) -> bool:
    return name in (CARD_NAME, WEIGHTS_NAME, THUMBNAIL_NAME) or name.endswith(TEMPLATE_ENDING) or TEXT_NAME.fullmatch(name) is not None


def _check(files: dict[str, ModelFile], source: Path) -> Card:
    """Check everything except the SHA-256 of the weights, and return the card. Raises InputError."""
    wrong = None
    for name, file in files.items():
        largest = LARGEST_WEIGHTS if name == WEIGHTS_NAME else LARGEST_OTHER
        if not _is_part(name):
            wrong = f"holds '{name}', which is not part of a model; remove it, a model has {PARTS}."
        elif file.size > largest:
            wrong = f"holds '{name}' of {file.size / 1e6:.0f} MB; it may have {largest / 1e6:.0f} MB, choose another model."
    for name in (CARD_NAME, WEIGHTS_NAME):
        if name not in files:
            wrong = wrong or f"holds no {name}; choose a model: a folder or .zip with {PARTS}."
    if wrong:
        msg = f"{source} {wrong}"
        raise InputError(msg)
    card = _card(files[CARD_NAME], source)
    for name, file in files.items():
        if name == THUMBNAIL_NAME and not _is_small_picture(file.content()):
            wrong = f"is not a PNG of at most {LARGEST_PICTURE} x {LARGEST_PICTURE} pixels"
        elif TEXT_NAME.fullmatch(name) and not _is_text(file.content()):
            wrong = "is not text in UTF-8"
        elif name == WEIGHTS_NAME and file.size != card.weights_bytes:
            wrong = f"has {file.size} bytes and not the {card.weights_bytes} of its card"
        if wrong:
            msg = f"'{name}' of {source} {wrong}; get the model again."
            raise InputError(msg)
    _check_templates(files, card, source)
    return card


def _check_templates(files: dict[str, ModelFile], card: Card, source: Path) -> None:
    """Raise InputError unless the only image is the template of the card."""
    template = card.found_by if isinstance(card.found_by, Template) else None
    others = sorted(name for name in files if name.endswith(TEMPLATE_ENDING) and (template is None or name != template.file))
    if others:
        msg = f"{source} holds '{others[0]}', which its card does not name; remove it, a model has {PARTS}."
        raise InputError(msg)
    if template is None:
        return
    if template.file not in files:
        msg = f"{source} holds no {template.file}, which its card names as its template; get the model again."
        raise InputError(msg)
    check_template(files[template.file].content(), template, str(source))


def _card(file: ModelFile, source: Path) -> Card:
    try:
        document = json.loads(file.content().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"'{CARD_NAME}' of {source} cannot be read ({error}); get the model again."
        raise InputError(msg) from error
    return Card.from_document(document, f"'{CARD_NAME}' of {source}")


def _is_small_picture(content: bytes) -> bool:
    """Whether a PNG has an acceptable size by its header: viewers allocate memory for as many pixels as that says."""
    edges = [int.from_bytes(content[start : start + 4], "big") for start in (16, 20)]
    return content[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" and all(0 < edge <= LARGEST_PICTURE for edge in edges)


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _copy(files: dict[str, ModelFile], card: Card, source: Path, create: Callable[[str], IO[bytes]]) -> None:
    """Copy the files to those that `create` opens by name. Raises InputError if the weights are not those of the card."""
    for name, file in files.items():
        digest = hashlib.sha256()
        with create(name) as target:
            for chunk in chunks(file, source):
                digest.update(chunk)
                target.write(chunk)
        if name == WEIGHTS_NAME and digest.hexdigest() != card.weights_sha256:
            msg = f"'{WEIGHTS_NAME}' of {source} are not the weights of its card (their SHA-256 differs); get the model again."
            raise InputError(msg)
