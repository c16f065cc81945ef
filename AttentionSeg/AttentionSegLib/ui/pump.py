"""Timers that poll runs from Slicer's event loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import qt

# Every 10 ms the main thread sleeps for 8 ms, which releases the interpreter lock; otherwise the thread of a run would not get it.
INTERVAL_MS = 10
SLEEP_S = 0.008
# How long a thread that runs Python keeps the interpreter lock while another one waits for it. With Python's 5 ms, the main thread, which gives it up
# in many short calls of numpy, stands still for a third of a second while a thread imports packages.
SWITCH_S, USUAL_SWITCH_S = 0.0005, sys.getswitchinterval()
# Time without changes before background preparation starts.
IDLE_MS = 1000


class Pump:
    """Polls runs from Slicer's event loop until they end."""

    def __init__(self) -> None:
        self._polls: list[Callable[[], bool]] = []
        self._timer = qt.QTimer()
        self._timer.setInterval(INTERVAL_MS)
        self._timer.connect("timeout()", self._tick)
        self._idle = qt.QTimer()
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE_MS)
        self._idle.connect("timeout()", self._when_idle)
        self._waiting: Callable[[], None] = lambda: None

    def keep_polling(self, poll: Callable[[], bool]) -> None:
        """Call a function repeatedly, until it returns False."""
        self._polls.append(poll)
        self._timer.start()
        sys.setswitchinterval(SWITCH_S)

    def when_idle(self, function: Callable[[], None]) -> None:
        """Call a function once, a second after the last call of this method."""
        self._waiting = function
        self._idle.start()

    def stop(self) -> None:
        self._polls = []
        self._rest()
        self._idle.stop()

    def _when_idle(self) -> None:
        self._waiting()

    def _tick(self) -> None:
        time.sleep(SLEEP_S)
        for poll in list(self._polls):
            if not poll() and poll in self._polls:
                self._polls.remove(poll)
        if not self._polls:
            self._rest()

    def _rest(self) -> None:
        self._timer.stop()
        sys.setswitchinterval(USUAL_SWITCH_S)
