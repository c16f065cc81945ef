"""The user's folders on this system: one for data, and a cache that may be deleted at any time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CACHE_VARIABLE = "ATTENTIONSEG_CACHE"


def data_folder() -> Path:
    """The user's folder for models and other data (it need not exist)."""
    if sys.platform == "win32":
        return _local_app_data() / "AttentionSeg"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "AttentionSeg"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "AttentionSeg"


def cache_folder() -> Path:
    """The user's cache folder (it need not exist): the variable ATTENTIONSEG_CACHE if set, else the system's place for caches."""
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE])
    if sys.platform == "win32":
        return _local_app_data() / "AttentionSeg" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "AttentionSeg"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "AttentionSeg"


def _local_app_data() -> Path:
    return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
