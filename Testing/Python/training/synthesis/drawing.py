"""What drawn images are tested on: a body with two boxes, left and right, and settings that change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from AttentionSegLib.models import Channel
from AttentionSegLib.training.synthesis.generator import Generator
from AttentionSegLib.training.synthesis.maps import Numbering
from AttentionSegLib.training.synthesis.settings import Synthesis

STILL = {
    "rotation_degrees": 0.0,
    "scaling": (1.0, 1.0),
    "shear": 0.0,
    "translation_mm": 0.0,
    "elastic_mm": 0.0,
    "deviation": 0.0,
    "texture": 0.0,
    "bias_field": 0.0,
    "gamma": 0.0,
    "noise": 0.0,
    "slice_share": 0.0,
    "stripped_share": 0.0,
    "cut_share": 0.0,
    "dark_air_share": 1.0,
}
# Left box, right box, body, in the order in which prepared maps number them.
LEFT, RIGHT, BODY = 1, 2, 3
BODY_VALUE = 40
Z_SCORE = Channel("any", "OT", {"kind": "z-score", "percentiles": [0.5, 99.5]})


def make_synthesis(**changes: Any) -> Synthesis:
    """Of images that are the label map in random shades, but for the changes."""
    return Synthesis(**{"learned_as": {BODY_VALUE: 0}, **STILL, **changes})


def make_map(shape: tuple[int, int, int] = (32, 30, 28)) -> np.ndarray:
    """Prepared numbers: a body with a box on its left and one, longer upwards, on its right (the first axis runs to the right)."""
    values = np.zeros(shape, np.uint8)
    values[3:-3, 3:-3, 3:-3] = BODY
    values[6:12, 8:20, 8:16] = LEFT
    values[20:26, 8:20, 8:20] = RIGHT
    return values


def make_generator(spacing: float = 1.0, channel: Channel = Z_SCORE, looks: tuple[int, ...] = (0, 1, 1, 3), **changes: Any) -> Generator:
    synthesis = make_synthesis(**changes)
    tissues = Numbering.of(2, synthesis, None, []).tissues
    return Generator(synthesis, np.array([0, 1, 2, 0], np.uint8), np.array(looks), tissues, (spacing,) * 3, channel)


def middle_of(values: np.ndarray) -> np.ndarray:
    return (np.array(values.shape) - 1) / 2


def write_map(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """A label map as a user has it: the body is value 40."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.where(values == BODY, BODY_VALUE, values).astype(np.int16), np.eye(4) if affine is None else affine), path)
    return path


def write_maps(folder: Path, count: int = 4) -> Path:
    for number in range(count):
        write_map(folder / f"map_{number}.nii.gz", np.roll(make_map(), number % 2, axis=1))
    return folder
