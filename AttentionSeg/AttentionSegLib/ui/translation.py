"""Slicer's translation of texts; outside of Slicer, texts are not translated."""

from __future__ import annotations

try:
    from slicer.i18n import tr
except ImportError:

    def tr(text: str) -> str:
        return text


__all__ = ["tr"]
