"""A folder of small cases, to be changed."""

from __future__ import annotations

import pytest
from surveyed_data import Data


@pytest.fixture
def data(tmp_path) -> Data:
    return Data(tmp_path)
