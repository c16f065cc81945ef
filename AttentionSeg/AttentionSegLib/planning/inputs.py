"""How the intensities of each channel are normalized."""

from __future__ import annotations

import re
from typing import Any

from ..datasets.survey import Survey

# Percentiles beyond which intensities are cut off (Isensee et al. 2021).
PERCENTILES = [0.5, 99.5]
NAMED_MODALITY = {
    "CT": r"CT|HU",
    "MR": r"MRI?|T[12]|T[12]w|T1ce|T1gd|T1c|FLAIR|PD|DWI|ADC|SWI|DCE|BOLD|cine",
    "PT": r"PET|PT|SUV|FDG",
    "US": r"US|ultrasound",
}
# Lowest intensities of CT scans: air, or what lies beyond the scanner's circle. Air may be cut off from above, never from so far below.
AIR_HU = -900.0
BONE_HU = (100.0, 4000.0)
CT_SHARE = 0.9


def plan_inputs(survey: Survey, modality: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """The entries `inputs` of the card, and a sentence for each.

    CT is cut off at percentiles of the labelled voxels of all cases, in HU; anything else has no unit and is normalized scan by scan.

    Args:
        survey: of the cases.
        modality: of all channels, such as `CT`; by their names, or else by their intensities, when None.
    """
    inputs, notes = [], []
    for channel, foreground in enumerate(survey.foreground):
        given = survey.channel_names[channel] if survey.channel_names else ""
        kind, why = _modality(survey, channel, given, modality)
        name = given or (kind if len(survey.foreground) == 1 else f"{kind} {channel + 1}")
        if kind == "CT" and foreground.percentile_0_5 < foreground.percentile_99_5:
            window = [round(foreground.percentile_0_5, 1), round(foreground.percentile_99_5, 1)]
            normalization = {"kind": "window", "window": window, "mean": round(foreground.mean, 2), "std": round(foreground.std, 2)}
            how = f"cut off at {window[0]:g} and {window[1]:g} HU, the percentiles 0.5 and 99.5 of the labelled voxels"
        else:
            normalization = {"kind": "z-score", "percentiles": PERCENTILES}
            how = "cut off at the percentiles 0.5 and 99.5 of each scan and brought to mean 0 and standard deviation 1"
        inputs.append({"name": name, "modality": kind, "normalization": normalization})
        notes.append(f"Input {name}: {kind}, {why}; {how}.")
    return inputs, notes


def _modality(survey: Survey, channel: int, name: str, told: str | None) -> tuple[str, str]:
    """The modality, and why."""
    if told is not None:
        return told, "as told"
    for kind, words in NAMED_MODALITY.items():
        if re.search(rf"(?:^|[^A-Za-z0-9])(?:{words})(?:$|[^A-Za-z0-9])", name, re.IGNORECASE):
            return kind, "by its name"
    like_ct = [of.minimum <= AIR_HU and BONE_HU[0] <= of.percentile_99_5 <= BONE_HU[1] for of in (case.intensities[channel] for case in survey.cases)]
    if sum(like_ct) >= CT_SHARE * len(like_ct):
        return "CT", "by its intensities, which reach from air to bone in HU"
    return "MR", "as its intensities are not those of CT"
