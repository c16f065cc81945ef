"""Planning of the labels: colors, terms and sides; mirroring, loss weights and post-processing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..datasets.case_statistics import CaseStatistics
from ..datasets.sides import left_right_pairs, side_of
from .grid import label_volumes

# 20 colors that most people can distinguish.
COLORS = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (67, 99, 216),
    (245, 130, 49),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (188, 246, 12),
    (250, 190, 190),
    (0, 128, 128),
    (230, 190, 255),
    (154, 99, 36),
    (255, 250, 200),
    (128, 0, 0),
    (170, 255, 195),
    (128, 128, 0),
    (255, 216, 177),
    (0, 0, 117),
    (128, 128, 128),
)
TISSUE = {"scheme": "SCT", "value": "85756007", "meaning": "Tissue"}
SIDES = {
    "left": {"scheme": "SCT", "value": "7771000", "meaning": "Left"},
    "right": {"scheme": "SCT", "value": "24028007", "meaning": "Right"},
}
# Ratio of the largest to the smallest label from which on labels are weighted, and the range of the weights.
IMBALANCE = 30.0
WEIGHTS = (0.5, 3.0)
# A label is one-sided if its center is on that side in this fraction of the cases, by this fraction of its width in the median.
ONE_SIDED = (0.95, 0.25)
# Largest fraction of a label's voxels that may be holes if holes are to be filled.
HOLES = 0.001


def label_entries(names: Mapping[int, str]) -> list[dict[str, Any]]:
    """The entries `labels` of the card, each with a color and the term `Tissue`, and the side if the name contains one."""
    paired = {value for pair in left_right_pairs(names) for value in pair}
    entries = []
    for value, name in sorted(names.items()):
        side = side_of(name)
        terms = {"category": TISSUE, "type": TISSUE}
        if side is not None and (side.certain or value in paired):
            terms["modifier"] = SIDES[side.side]
        entries.append({"value": value, "name": name, "color": list(COLORS[(value - 1) % len(COLORS)]), "terminology": terms})
    return entries


def plan_mirroring(
    entries: Sequence[dict[str, Any]], cases: Sequence[CaseStatistics], is_region: bool, across: int | None = None
) -> tuple[list[int], list[list[int]], str]:
    """Whether scans may be mirrored from left to right, and which labels are exchanged then.

    Args:
        entries: labels of the card, with a side in name or terms.
        cases: to train on.
        is_region: whether scans are crops, whose center is not the midplane of the body.
        across: axis perpendicular to the slices of a 2D network.

    Returns:
        `mirror_axes` and `mirror_swaps` of the recipe, and a sentence with the reason.
    """
    if across == 0:
        return [], [], "No mirroring: a sagittal slice is its own mirror image from left to right, so the network cannot distinguish the sides."
    names = {entry["value"]: entry["name"] for entry in entries}
    pairs = sorted({*left_right_pairs(names), *_pairs_by_terms(entries)})
    paired = {value for pair in pairs for value in pair}
    for entry in entries:
        value, side = entry["value"], side_of(entry["name"])
        if value in paired:
            continue
        if entry["terminology"].get("modifier") in SIDES.values() or (side is not None and side.certain):
            return [], [], f"No mirroring: '{entry['name']}' is on one side by its name or term, and there is no label of the other side."
        if not is_region and _is_one_sided(value, cases):
            return [], [], f"No mirroring: '{entry['name']}' lies on one side in the cases; if it is one of a pair, name both left and right."
    if not pairs:
        return [0], [], "Scans are mirrored from left to right at random: no label is of one side."
    swapped = ", ".join(f"'{names[left]}' with '{names[right]}'" for left, right in pairs)
    return [0], [list(pair) for pair in pairs], f"Scans are mirrored from left to right at random, which exchanges {swapped}."


def plan_weights(entries: Sequence[dict[str, Any]], cases: Sequence[CaseStatistics]) -> tuple[list[float] | None, str]:
    """Weights of background and labels in the loss, by the inverse square root of their volumes; None unless these differ widely."""
    volumes = label_volumes(cases)
    factor = max(volumes.values()) / min(volumes.values())
    if factor < IMBALANCE:
        return None, f"All labels have the same weight in the loss: the largest is {factor:.3g} times the smallest."
    middle = np.exp(np.mean(np.log(list(volumes.values()))))
    weights = [1.0, *(round(float(np.clip((middle / volumes[entry["value"]]) ** 0.5, *WEIGHTS)), 2) for entry in entries)]
    return weights, f"Smaller labels have a higher weight in the loss: the largest is {factor:.3g} times the smallest."


def plan_postprocessing(entries: Sequence[dict[str, Any]], cases: Sequence[CaseStatistics]) -> tuple[dict[str, list[int]], str]:
    """The entry `postprocessing` of the card: labels with one component in every case keep the largest; labels without holes are filled."""
    names = {entry["value"]: entry["name"] for entry in entries}
    found = {value: [case.labels[value] for case in cases if value in case.labels] for value in names}
    single = [value for value, of in found.items() if all(label.components == 1 for label in of)]
    solid = [value for value, of in found.items() if sum(label.hole_voxels for label in of) <= HOLES * sum(label.voxels for label in of)]
    parts = [
        f"{what} {', '.join(names[value] for value in values)}"
        for what, values in (("the largest part is kept of", single), ("holes are filled in", solid))
        if values
    ]
    return {"largest_component": single, "fill_holes": solid}, f"After segmentation, as in the cases: {'; '.join(parts) or 'nothing is changed'}."


def _pairs_by_terms(entries: Sequence[dict[str, Any]]) -> set[tuple[int, int]]:
    """Pairs of labels whose terms differ in the side only."""
    by_side: dict[str, dict[str, list[int]]] = {side: {} for side in SIDES}
    for entry in entries:
        terms = entry["terminology"]
        for side, modifier in SIDES.items():
            if terms.get("modifier") == modifier and terms["type"] != TISSUE:
                by_side[side].setdefault(terms["type"]["value"], []).append(entry["value"])
    both = by_side["left"].keys() & by_side["right"].keys()
    return {(by_side["left"][term][0], by_side["right"][term][0]) for term in both if len(by_side["left"][term]) == len(by_side["right"][term]) == 1}


def _is_one_sided(value: int, cases: Sequence[CaseStatistics]) -> bool:
    labels = [case.labels[value] for case in cases if value in case.labels]
    right = np.array([label.center_mm[0] for label in labels])
    width = np.array([label.box_mm[0] for label in labels])
    share, shift = ONE_SIDED
    return max((right > 0).mean(), (right < 0).mean()) >= share and abs(np.median(right / width)) > shift
