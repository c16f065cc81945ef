"""When the application draws its views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import slicer


@contextmanager
def drawn_once() -> Iterator[None]:
    """Draw what changes in this block once, after the events that wait meanwhile, such as clicks, have been handled.

    Slicer would otherwise draw all views in the middle of the changes, which blocks it for a tenth of a second each time.
    """
    application = getattr(slicer, "app", None)
    if application is None:
        # The MRML library alone, which has no views.
        yield
        return
    import qt

    application.pauseRender()
    try:
        yield
    finally:
        # A timer of 0 ms would come before the waiting events.
        qt.QTimer.singleShot(1, application.resumeRender)
