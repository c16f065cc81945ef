"""Loading of torch's C++ libraries without blocking other Python threads."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

from ..waiting_threads import let_waiting_threads_sleep

NAMES = {"linux": "libtorch.so", "darwin": "libtorch.dylib"}


def preload_torch() -> None:
    """Load the libraries that `import torch` will need; may be called in any thread.

    Python holds its interpreter lock while it loads a library, `ctypes.CDLL` included, and torch's take half a second to two: an application whose
    main thread runs Python freezes meanwhile. A call of a C function through ctypes releases the lock, so the system's own `dlopen` is called. The
    libraries are then in memory when the import needs them. None of them calls Python (torch's `libtorch_python` does, and is left to the import).

    Does nothing if torch is loaded already, is not installed or has no such library, and on Windows, where torch itself loads them through ctypes.
    Libraries that cannot be loaded here are left to the import, which reports why.
    """
    let_waiting_threads_sleep()
    if "torch" in sys.modules or sys.platform not in NAMES:
        return
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        return
    library = Path(torch.origin).parent / "lib" / NAMES[sys.platform]
    if library.is_file():
        dlopen = ctypes.CDLL(None).dlopen
        dlopen.argtypes, dlopen.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
        dlopen(os.fsencode(library), sys.getdlopenflags())
