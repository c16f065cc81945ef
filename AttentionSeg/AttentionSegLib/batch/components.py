"""How many pieces a structure has."""

from __future__ import annotations

import numpy as np

_FULL_CONNECTIVITY = np.ones((3, 3, 3), bool)


def count_components(labels: np.ndarray) -> dict[int, int]:
    """The number of 26-connected components of every value but 0 that is there.

    Args:
        labels: [I, J, K] integers from 0 on.
    """
    # Here, because it takes a while to import, and one scan by itself needs no count.
    from scipy import ndimage

    windows = enumerate(ndimage.find_objects(labels), 1)
    return {value: ndimage.label(labels[window] == value, _FULL_CONNECTIVITY)[1] for value, window in windows if window is not None}
