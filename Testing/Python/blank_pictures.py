"""Pictures with nothing on them, for tests of what lies around them: to draw one takes longer than all else that a case in a test needs."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest


def leave_pictures_blank(patch: pytest.MonkeyPatch) -> None:
    from AttentionSegLib.reporting.overview_layout import WIDTH
    from AttentionSegLib.reporting.sheet import Sheet
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "png")
    patch.setattr("AttentionSegLib.reporting.overview_page.draw_overview", lambda *_what: Sheet(WIDTH, 20))
    for name in ("evaluation.pictures.draw_case", "evaluation.map_pictures.draw_map", "reporting.silhouette.draw_silhouette"):
        patch.setattr(f"AttentionSegLib.{name}", lambda *_what: content.getvalue())


@pytest.fixture(scope="module")
def blank_pictures() -> Iterator[None]:
    """The overviews of a module's tests are PNG files of the true width, and those of an evaluation, or of a trained model, small ones."""
    with pytest.MonkeyPatch.context() as patch:
        leave_pictures_blank(patch)
        yield
