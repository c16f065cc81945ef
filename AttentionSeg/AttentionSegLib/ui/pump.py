"""Timers that poll runs from Slicer's event loop."""

from __future__ import annotations

import time
from collections.abc import Callable

import qt

# Every 10 ms the main thread sleeps for 8 ms, which releases the interpreter lock; otherwise the thread of a run would not get it.
INTERVAL_MS = 10
SLEEP_S = 0.008
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

    def when_idle(self, function: Callable[[], None]) -> None:
        """Call a function once, a second after the last call of this method."""
        self._waiting = function
        self._idle.start()

    def stop(self) -> None:
        self._polls = []
        self._timer.stop()
        self._idle.stop()

    def _when_idle(self) -> None:
        self._waiting()

    def _tick(self) -> None:
        time.sleep(SLEEP_S)
        for poll in list(self._polls):
            if not poll() and poll in self._polls:
                self._polls.remove(poll)
        if not self._polls:
            self._timer.stop()
