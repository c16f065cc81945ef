"""Planning of the synthesis of images from label maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..datasets.case_statistics import CaseStatistics
from .grid import median_spacing

# Most voxels of a label map along each axis per working voxel; more would not be visible to the network.
MOST_STEPS = 3


def plan_synthesis(synthesis: dict[str, Any], cases: Sequence[CaseStatistics], spacing: np.ndarray) -> tuple[dict[str, Any], str]:
    """The entry `synthesis` of the recipe, with about the spacing of the label maps, and a sentence.

    Args:
        synthesis: ranges and further values.
        cases: to train on.
        spacing: of the working grid in mm.
    """
    steps = np.clip(np.rint(np.divide(spacing, median_spacing(cases))), 1, MOST_STEPS).astype(int).tolist()
    thin, thick = synthesis["slice_mm"]
    others = len(synthesis["learned_as"])
    further = f", {others} further value(s) of the maps with an intensity of their own" if others else ""
    tissues = len(set(synthesis["tissues"].values()))
    if tissues:
        further += f", {100 * synthesis['tissue_share']:.0f} % with the same look within each of {tissues} tissue(s)"
        apart = min(synthesis["tissue_contrast"], 1 / max(tissues - 1, 1))
        further += f" and at least {100 * apart:.0f} % of the range of intensities between two" if tissues > 1 and apart else ""
    return {**synthesis, "steps": steps}, (
        f"Every image is synthesized from one of {len(cases)} label maps (Billot et al. 2023): random contrast{further}, deformation, bias field, "
        f"noise, slices of {thin:g} to {thick:g} mm; {100 * synthesis['stripped_share']:.0f} % without what is not learned, "
        f"{100 * synthesis['cut_share']:.0f} % cut off."
    )
