"""Types of 16 bits, for tests on the CPU."""

from __future__ import annotations

import pytest
import torch

NEEDS_FLOAT16 = pytest.mark.skipif(torch.__version__ < "2.4", reason="torch before 2.4 does not compute in float16 on the CPU")
# Two units in the last place of the largest value.
BFLOAT16_TOLERANCE, FLOAT16_TOLERANCE = 2 * 2**-8, 2 * 2**-11
HALF_PRECISIONS = [
    pytest.param(torch.bfloat16, BFLOAT16_TOLERANCE, id="bfloat16"),
    pytest.param(torch.float16, FLOAT16_TOLERANCE, id="float16", marks=NEEDS_FLOAT16),
]
