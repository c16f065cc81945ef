"""Pictures with nothing on them, for tests of what lies around them: to draw one takes longer than all else that a case in a test needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def leave_overviews_blank(patch: pytest.MonkeyPatch) -> None:
    from AttentionSegLib.reporting.overview_layout import WIDTH
    from AttentionSegLib.reporting.sheet import Sheet

    patch.setattr("AttentionSegLib.reporting.overview_page.draw_overview", lambda *_what: Sheet(WIDTH, 20))


@pytest.fixture(scope="module")
def blank_overviews() -> Iterator[None]:
    """The overviews of a module's tests are PNG files of the true width."""
    with pytest.MonkeyPatch.context() as patch:
        leave_overviews_blank(patch)
        yield
