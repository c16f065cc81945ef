"""The voxels of a small scan."""

from __future__ import annotations

import numpy as np
import pytest
from scan_headers import SHAPE


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(3).integers(-200, 200, SHAPE).astype(np.int16)
