"""Random choice of validation cases, if the user gives no split."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

SHARE = 0.2
BIDS_SUBJECT = re.compile(r"(?:^|[^A-Za-z0-9])(sub-[A-Za-z0-9]+)")
SIDE = r"left|right|lt|rt|lh|rh|l|r"
# Sessions and time points need a number, because a word such as `run` alone may be part of a name.
VISIT = r"(?:session|ses|run|visit|timepoint|time|tp|followup|fu)[-_]?\d+|baseline|followup|pre|post"
AFTER = re.compile(rf"(?:[-_. ](?:{SIDE}|{VISIT}))+$", re.IGNORECASE)
BEFORE = re.compile(rf"^(?:(?:{SIDE})[-_. ])", re.IGNORECASE)


def subject_of(case_id: str) -> str:
    """The subject of a case by its name: `sub-<label>` as in BIDS, else the name without side, session or time point."""
    bids = BIDS_SUBJECT.search(case_id)
    return bids[1] if bids else BEFORE.sub("", AFTER.sub("", case_id)) or case_id


def draw_validation(case_ids: Sequence[str], seed: int, labels: Mapping[str, Collection[int]] | None = None) -> tuple[set[str], str]:
    """Draw a fifth of the cases, at least one, for validation; cases of one subject are kept together.

    The order is that of checksums of seed and subject, so that it is the same on every computer, and additional cases change little of it.

    Args:
        case_ids: at least two.
        seed: for other cases, use another seed.
        labels: label values in each case. If known, subjects without labels are not drawn, and neither are those with the only voxels of a label
            among the training cases.

    Returns:
        The validation cases, and a sentence that says how they were drawn.
    """
    subjects: dict[str, list[str]] = defaultdict(list)
    for case_id in case_ids:
        subjects[subject_of(case_id)].append(case_id)
    one_subject = len(subjects) == 1
    if one_subject:
        subjects = {case_id: [case_id] for case_id in case_ids}
    groups = [subjects[subject] for subject in sorted(subjects, key=lambda subject: hashlib.sha256(f"{seed}:{subject}".encode()).digest())]
    drawn = _draw(groups, labels)
    sentence = f"{len(drawn)} of the {len(case_ids)} cases were drawn at random for validation (seed {seed})"
    if labels is not None and drawn != _draw(groups, None):
        sentence += ", in a second draw, because the first ones had no label, or the only voxels of one"
    if one_subject:
        return drawn, f"{sentence}; by their names all are of one subject, so the validation will look better than the model is on other subjects."
    if len(subjects) < len(case_ids):
        return drawn, f"{sentence}; cases of one subject by their names ({len(subjects)} subjects) were kept together."
    return drawn, f"{sentence}; by their names all cases are of different subjects: give a split if they are not."


def _draw(groups: Sequence[Sequence[str]], labels: Mapping[str, Collection[int]] | None) -> set[str]:
    """The cases of the first groups that may be drawn, until they are a fifth of all cases."""
    wanted = max(1, round(SHARE * sum(map(len, groups))))
    drawn: set[str] = set()
    for group in groups:
        if len(drawn) + len(group) <= wanted and _may_be_drawn(group, drawn, labels):
            drawn.update(group)
    possible = [group for group in groups if _may_be_drawn(group, drawn, labels)] or groups
    smallest = min(possible, key=len)
    return drawn or set(smallest)


def _may_be_drawn(group: Sequence[str], drawn: Collection[str], labels: Mapping[str, Collection[int]] | None) -> bool:
    if labels is None:
        return True
    found = {value for values in labels.values() for value in values}
    left = {value for case_id, values in labels.items() if case_id not in drawn and case_id not in group for value in values}
    return any(labels[case_id] for case_id in group) and left == found
