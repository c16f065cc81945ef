"""Segmentations as 3D Slicer stores them, with names of segments in the header."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from AttentionSegLib.image import LPS_TO_RAS


def write_segments(path: Path, layers: np.ndarray, affine: np.ndarray, segments: Sequence[tuple[str, int, int]]) -> Path:
    """Write layers [L, I, J, K] with segments of name, value and layer."""
    lps = LPS_TO_RAS @ affine
    vectors = [f"({','.join(map(repr, map(float, column)))})" for column in lps[:3, :3].T]
    several = len(layers) > 1
    lines = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {3 + several}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, layers.shape if several else layers.shape[1:]))}",
        f"space directions: {'none ' if several else ''}{' '.join(vectors)}",
        f"kinds: {'list ' if several else ''}domain domain domain",
        "encoding: raw",
        f"space origin: ({','.join(map(repr, map(float, lps[:3, 3])))})",
    ]
    for number, (name, value, layer) in enumerate(segments):
        lines += [
            f"Segment{number}_{key}:={text}" for key, text in (("ID", f"Segment_{number}"), ("Name", name), ("LabelValue", value), ("Layer", layer))
        ]
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + layers.astype(np.uint8).tobytes(order="F"))
    return path
