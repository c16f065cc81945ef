"""A folder of small cases of two labels, for the tests of what a survey says of them."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from AttentionSegLib.datasets.case_set import folder_cases
from AttentionSegLib.datasets.label_reading import LabelReading
from AttentionSegLib.datasets.survey import Survey, make_survey
from AttentionSegLib.errors import InputError
from poses import AXES, affine_around

SHAPE = (12, 14, 16)
SPACING = (1.0, 1.5, 2.0)
NAMES = {1: "Left kidney", 2: "Right kidney"}


def affine(axes: str = "RAS", spacing: tuple[float, float, float] = SPACING) -> np.ndarray:
    return affine_around((5, -7, 9), SHAPE, AXES[axes], spacing)


def make_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, with label 1 left and label 2 right in RAS."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 3:9, 4:8] = 1
    labels[8:11, 3:9, 4:8] = 2
    image = np.random.default_rng(seed).integers(0, 100, SHAPE) + 100 * labels
    return image.astype(np.int16), labels


class Data:
    """A folder of cases a, b, c, d, of which d is to validate on; tests replace some."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("images", "labels"):
            (folder / name).mkdir()
        (folder / "split.csv").write_text("id,role\na,train\nb,train\nc,train\nd,val\n")
        for seed, case in enumerate("abcd"):
            image, labels = make_case(seed)
            self.write("images", case, image)
            self.write("labels", case, labels)

    def write(self, kind: str, case: str, voxels: np.ndarray, placed: np.ndarray | None = None) -> Path:
        path = self.folder / kind / f"{case}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, affine() if placed is None else placed), path)
        return path

    def write_labels(self, **labels: np.ndarray) -> None:
        for case, voxels in labels.items():
            self.write("labels", case, voxels)

    def survey(self, names: dict[int, str] | None = NAMES, ignored: int | None = None, **more: object) -> Survey:
        reading = LabelReading(ignored_label=ignored)
        return make_survey(folder_cases(self.folder / "images", self.folder / "labels", self.folder / "split.csv", names, (), reading), **more)

    def refused(self, **more: object) -> str:
        with pytest.raises(InputError) as raised:
            self.survey(**more)
        assert re.fullmatch(r"The data cannot be used for training; \d+ problem\(s\): [^\n]+\.", str(raised.value))
        return str(raised.value)

    def odd(self, **more: object) -> str:
        """The sentences beside that of the split."""
        sentences = self.survey(**more).notes[1:]
        assert all(re.fullmatch(r"[^\n]+\.", sentence) for sentence in sentences)
        return "\n".join(sentences)
