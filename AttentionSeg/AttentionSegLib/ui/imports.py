"""Import of large packages in a thread, without blocking the application."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Number of imported modules from which on freezing their objects pays off.
MANY = 200

_lock = threading.Lock()


@contextmanager
def gentle_imports() -> Iterator[None]:
    """Suspend garbage collection for the imports in this block, so that they do not block the other threads.

    Torch, monai and Lightning create so many objects that each collection holds the interpreter lock for a second or more, and there are many
    collections: without them, an import takes half as long. Later collections skip the objects that were created here.
    """
    # Imported here because the engine around it takes a while, and the panel opens without it.
    from ..inference.shared_libraries import preload_torch

    with _lock:
        preload_torch()
        before, enabled = len(sys.modules), gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if len(sys.modules) - before >= MANY:
                gc.freeze()
            if enabled:
                gc.enable()
