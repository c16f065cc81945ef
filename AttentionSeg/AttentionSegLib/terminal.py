"""Progress on a terminal, or as plain lines where the output is not one."""

from __future__ import annotations

from types import TracebackType
from typing import TextIO

LINES = 10
# From this many seconds on durations are shown in minutes, from this many minutes on in hours.
LONG = 100


class ProgressDisplay:
    """Shows progress on a stream: a progress bar on a terminal, otherwise a line per stage and per tenth of the run.

    A context manager; its value is an `on_progress` function.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar = None
        self._last: tuple[str | None, int] = (None, -1)

    def __enter__(self) -> ProgressDisplay:
        if self._stream.isatty():
            from tqdm import tqdm

            # miniters=0: otherwise tqdm adapts to the fast first stage, and does not redraw for seconds in a slow one.
            form = "{desc:<10}|{bar:30}| {n:3.0f} %{postfix}"
            self._bar = tqdm(total=100, file=self._stream, bar_format=form, leave=False, miniters=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, fraction: float, stage: str, seconds_left: float | None) -> None:
        left = "" if seconds_left is None or fraction >= 1 else f", {_duration(seconds_left)} left"
        if self._bar is not None:
            new_stage = stage != self._last[0]
            self._last = (stage, -1)
            self._bar.set_description_str(stage, refresh=False)
            self._bar.set_postfix_str(left.lstrip(", "), refresh=False)
            self._bar.update(100 * fraction - self._bar.n)
            if new_stage:
                self._bar.refresh()
            return
        tenth = int(fraction * LINES)
        if (stage, tenth) != self._last:
            self._last = (stage, tenth)
            print(f"{stage}: {fraction:.0%}{left}", file=self._stream, flush=True)

    def print(self, text: str) -> None:
        """Print a line on standard output, above the progress bar."""
        if self._bar is not None:
            self._bar.write(text)
        else:
            print(text, flush=True)


def _duration(seconds: float) -> str:
    if seconds < LONG:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 60 * LONG else f"{seconds / 3600:.1f} h"
