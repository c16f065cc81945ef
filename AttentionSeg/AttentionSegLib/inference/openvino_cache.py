"""Cache of converted networks in the user's cache folder, with checksums."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from ..user_folders import cache_folder
from ..writing import atomic_path

logger = logging.getLogger(__name__)

SUFFIX = ".openvino"
DIGEST_BYTES = hashlib.sha256().digest_size


def openvino_folder() -> Path:
    """The folder of converted networks (it need not exist)."""
    return cache_folder() / "openvino"


def read_entry(folder: Path, key: str) -> bytes | None:
    """The content stored under a key; None if there is none, it cannot be read, or its checksum is wrong."""
    try:
        stored = (folder / f"{key}{SUFFIX}").read_bytes()
    except OSError:
        return None
    digest, content = stored[:DIGEST_BYTES], stored[DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def keep_entry(folder: Path, key: str, content: bytes) -> None:
    """Store content under a key, replacing any that is there. If the folder cannot be written, a warning is logged."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / f"{key}{SUFFIX}") as temporary:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
    except OSError as error:
        logger.warning("The converted network cannot be kept in %s, so the next start converts it again: %s", folder, error)
