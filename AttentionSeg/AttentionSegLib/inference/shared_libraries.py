"""Loading of the C++ libraries of large packages without blocking other Python threads."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

from ..waiting_threads import let_waiting_threads_sleep


def preload_torch() -> None:
    """Load torch's libraries, without libtorch_python, which calls Python; and let its threads sleep while they wait. See `preload`."""
    let_waiting_threads_sleep()
    preload("torch", "lib/libtorch.so", "lib/libtorch.dylib")


def preload_simpleitk() -> None:
    """Load SimpleITK's library. See `preload`."""
    preload("SimpleITK", "_SimpleITK*.so")


def preload_openvino() -> None:
    """Load OpenVINO's libraries, with the one for the CPU, which it otherwise loads on first use. See `preload`."""
    preload("openvino", "_pyopenvino*.so", "libs/libopenvino_*_cpu_plugin.so")


def preload(package: str, *libraries: str) -> None:
    """Load libraries that the import of a package will need; may be called in any thread.

    Python holds its interpreter lock while it loads a library, `ctypes.CDLL` included. Large ones take up to two seconds when they have to be read
    from the disk: an application whose main thread runs Python freezes meanwhile. A call of a C function through ctypes releases the lock, so the
    system's own `dlopen` is called. The libraries are then in memory when the import needs them.

    Does nothing if the package is loaded already or not installed, and on Windows, which has no `dlopen`. Libraries that cannot be loaded here are
    left to the import, which reports why.

    Args:
        package: name of the package.
        libraries: patterns of files in its folder. Loading them must not call Python.
    """
    if package in sys.modules or sys.platform == "win32":
        return
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    for library in (path for pattern in libraries for path in Path(found.origin).parent.glob(pattern)):
        dlopen(os.fsencode(library), sys.getdlopenflags())
