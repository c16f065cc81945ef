"""A real MRML scene for every test, without the application."""

from __future__ import annotations

from mrml_scene import scene

__all__ = ["scene"]
