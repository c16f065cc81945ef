"""Import of large packages in a thread, without blocking the application."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Number of imported modules from which on freezing their objects pays off.
MANY = 200

_lock = threading.Lock()


@contextmanager
def gentle_imports() -> Iterator[None]:
    """Suspend garbage collection for the imports in this block, so that they do not block the other threads.

    Torch, monai and Lightning create so many objects that each collection holds the interpreter lock for a second or more, and there are many
    collections: without them, an import takes half as long. Later collections skip the objects that were created here.
    """
    with _lock:
        _load_torch_libraries()
        before, enabled = len(sys.modules), gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if len(sys.modules) - before >= MANY:
                gc.freeze()
            if enabled:
                gc.enable()


def _load_torch_libraries() -> None:
    """Load the shared libraries of torch, which the import of torch then finds loaded.

    The import would hold the interpreter lock meanwhile, for a second; a function called by ctypes does not. If they cannot be loaded, the import
    says why. On Windows, torch itself loads them so.
    """
    found = importlib.util.find_spec("torch") if os.name != "nt" and "torch" not in sys.modules else None
    for folder in (found.submodule_search_locations or []) if found is not None else []:
        library = Path(folder, "lib", "libtorch.dylib" if sys.platform == "darwin" else "libtorch.so")
        if library.is_file():
            ctypes.CDLL(None).dlopen(os.fsencode(library), os.RTLD_LAZY)
