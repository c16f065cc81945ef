"""What the threads of torch do while they wait for each other."""

from __future__ import annotations

import os


def let_waiting_threads_sleep() -> None:
    """Let them sleep, unless the user chose otherwise (OMP_WAIT_POLICY). To be called before torch is loaded.

    By default they compute while they wait, which takes the processors from other programs and, on a busy computer, from each other.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
