"""HTML pages from templates. A page is one file that needs no network and, unless its template says otherwise, no other file."""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .. import RESEARCH_ONLY
from ..revision import version_text
from .spread import LEFT, RIGHT, WIDTH

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: object) -> str:
    """Fill a template of the folder `templates`.

    Every value is escaped, so that no name of a file, label, model or case becomes markup; only `markupsafe.Markup` is inserted as it is.

    Raises:
        jinja2.UndefinedError: if the template uses a value that was not given.
    """
    made = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, AttentionSeg {version_text()}"
    return _environment().get_template(template).render(statement=RESEARCH_ONLY, made=made, **values)


@cache
def _environment() -> Environment:
    # Imported here: in Slicer, Jinja2 is installed together with torch.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(data_uri=data_uri, exact=_exact, short=_short)
    environment.globals.update(left=LEFT, right=RIGHT, width=WIDTH)
    return environment


def data_uri(content: bytes, kind: str) -> str:
    """The content of a `png` or `jpeg` file as the source of an HTML image."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
