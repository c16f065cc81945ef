"""Planning of the inputs: modality and intensity normalization of each channel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..datasets.case_statistics import IntensityStatistics
from ..datasets.cases import named
from ..datasets.survey import Survey
from ..errors import InputError
from ..inference.fit import STORED_HU
from ..models.channels import COLORS

# Percentiles beyond which intensities are cut off (Isensee et al. 2021).
PERCENTILES = [0.5, 99.5]
NAMED_MODALITY = {
    "CT": r"CT|HU",
    "MR": r"MRI?|T[12]|T[12]w|T1ce|T1gd|T1c|FLAIR|PD|DWI|ADC|SWI|DCE|BOLD|cine",
    "PT": r"PET|PT|SUV|FDG",
    "US": r"US|ultrasound",
}
# CT scans contain intensities below this: air, or the padding outside the scanner's field of view.
AIR_HU = -900.0
BONE_HU = (100.0, 4000.0)
# The modality of pictures.
OTHER = "OT"
IN_COLORS = "Inputs: the three colors of an image, each cut off at its percentiles 0.5 and 99.5 and brought to mean 0 and standard deviation 1."
CT_SHARE = 0.9
# If at least this fraction of the cases is CT in HU, the others count as errors, and not as evidence of another modality.
MIXED_SHARE = 0.5


def plan_inputs(survey: Survey, modality: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """The entries `inputs` of the card, and a sentence for each.

    CT is clipped at percentiles of the labeled voxels of all cases, in HU; other modalities have no unit and are normalized scan by scan.

    Args:
        survey: of the cases.
        modality: of all channels, such as `CT`; None to derive it from their names, or else from their intensities.

    Raises:
        InputError: naming the cases that are not in HU, if most are and no modality is given.
    """
    inputs, notes = [], []
    if survey.in_colors:
        kind = modality or OTHER
        normalization: dict[str, Any] = {"kind": "z-score", "percentiles": PERCENTILES}
        return [{"name": color, "modality": kind, "normalization": normalization} for color in COLORS], [IN_COLORS]
    pictures = modality is None and not survey.spacing_known
    for channel, foreground in enumerate(survey.foreground):
        given = survey.channel_names[channel] if survey.channel_names else ""
        odd = {case.id: case.intensities[channel] for case in survey.cases if not _is_ct(case.intensities[channel])}
        kind, why = (OTHER, "as 2D image files state none") if pictures else _modality(odd, len(survey.cases), given, modality)
        name = given or (kind if len(survey.foreground) == 1 else f"{kind} {channel + 1}")
        if kind == "CT" and foreground.percentile_0_5 < foreground.percentile_99_5:
            window = [round(foreground.percentile_0_5, 1), round(foreground.percentile_99_5, 1)]
            normalization = {"kind": "window", "window": window, "mean": round(foreground.mean, 2), "std": round(foreground.std, 2)}
            how = f"cut off at {window[0]:g} and {window[1]:g} HU, the percentiles 0.5 and 99.5 of the labeled voxels"
        else:
            normalization = {"kind": "z-score", "percentiles": PERCENTILES}
            how = "cut off at the percentiles 0.5 and 99.5 of each scan and brought to mean 0 and standard deviation 1"
        inputs.append({"name": name, "modality": kind, "normalization": normalization})
        notes.append(f"Input {name}: {kind}, {why}; {how}.")
        if kind == "CT" and odd:
            notes.append(f"{len(odd)} of {len(survey.cases)} cases do not have the intensities of CT in HU: {_ranges(odd)}; look at their units.")
        like_ct = {case.id: case.intensities[channel] for case in survey.cases if case.intensities[channel].look in ("HU", STORED_HU)}
        if kind not in ("CT", OTHER) and like_ct:
            notes.append(f"{len(like_ct)} of {len(survey.cases)} cases look like CT: {_ranges(like_ct)}; if they are, say so (--modality CT).")
    return inputs, notes


def _modality(odd: Mapping[str, IntensityStatistics], cases: int, name: str, given: str | None) -> tuple[str, str]:
    """The modality, and why. `odd`: the intensities of cases that are not like CT, by case id."""
    if given is not None:
        return given, "as requested"
    for kind, words in NAMED_MODALITY.items():
        if re.search(rf"(?:^|[^A-Za-z0-9])(?:{words})(?:$|[^A-Za-z0-9])", name, re.IGNORECASE):
            return kind, "by its name"
    share = 1 - len(odd) / cases
    if share >= CT_SHARE:
        return "CT", "by its intensities, which reach from air to bone in HU"
    if share >= MIXED_SHARE:
        msg = (
            f"{cases - len(odd)} of {cases} cases have the intensities of CT in HU, and these have not: {_ranges(odd)}; bring all to HU, take these "
            "cases out, or say what they are (--modality)."
        )
        raise InputError(msg)
    return "MR", "as its intensities are not those of CT"


def _is_ct(of: IntensityStatistics) -> bool:
    """Whether intensities reach from air to bone in HU: more than for a look of `HU`, because the normalization of a model depends on it."""
    return of.minimum <= AIR_HU and BONE_HU[0] <= of.percentile_99_5 <= BONE_HU[1]


def _ranges(odd: Mapping[str, IntensityStatistics]) -> str:
    """Cases with the range of their intensities, and a hint if they may be HU with an offset."""
    ranges = []
    for case_id, of in odd.items():
        guess = f", perhaps {STORED_HU}, see --rescale" if of.look == STORED_HU else ""
        ranges.append(f"{case_id} ({of.minimum:g} to {of.percentile_99_5:g}{guess})")
    return named(ranges)
