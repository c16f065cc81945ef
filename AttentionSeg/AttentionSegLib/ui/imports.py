"""Large packages into a thread, while the application stays alive."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Modules that a package brings at least for which this is worth it.
MANY = 200

_lock = threading.Lock()


@contextmanager
def gentle_imports() -> Iterator[None]:
    """Imports in this block do not stop the other threads to look for garbage among all that was made so far.

    Torch, monai and Lightning make so many objects that each such search holds the interpreter's lock for a second and more, and there are many of
    them: an import takes half as long without. What was made here is passed over by the searches that come later.
    """
    with _lock:
        before, enabled = len(sys.modules), gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if len(sys.modules) - before >= MANY:
                gc.freeze()
            if enabled:
                gc.enable()
