"""Torch's C++ libraries, loaded while other threads of Python go on."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

NAMES = {"linux": "libtorch.so", "darwin": "libtorch.dylib"}


def preload_torch() -> None:
    """Load the libraries that `import torch` is about to load; any thread.

    Python holds its interpreter lock while it loads a library, `ctypes.CDLL` included, and torch's take half a second to two: an application whose
    main thread runs Python stands still meanwhile. A call of a C function through ctypes lets go of the lock, so the system's own `dlopen` is
    called. The libraries then are in memory when the import asks for them. None of them calls Python (torch's `libtorch_python` does, and is left
    to the import).

    Nothing happens where torch is loaded already, is not installed or has no such library, and on Windows, where torch itself loads them through
    ctypes. What cannot be loaded here is left to the import, which says why.
    """
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
