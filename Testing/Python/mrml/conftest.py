"""A real MRML scene for every test, without the application, and a volume in it."""

from __future__ import annotations

import pytest
from mrml_scene import scene
from scenes import make_volume

__all__ = ["scene"]


@pytest.fixture
def volume(scene):
    return make_volume(scene)
