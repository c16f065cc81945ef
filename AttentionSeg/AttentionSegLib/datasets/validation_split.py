"""Which cases to validate on, where nobody has said so."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence

SHARE = 0.2
BIDS_SUBJECT = re.compile(r"(?:^|[^A-Za-z0-9])(sub-[A-Za-z0-9]+)")
SIDE = r"left|right|lt|rt|lh|rh|l|r"
# Sessions and points in time need a number: a word such as `run` alone may name the data.
VISIT = r"(?:session|ses|run|visit|timepoint|time|tp|followup|fu)[-_]?\d+|baseline|followup|pre|post"
AFTER = re.compile(rf"(?:[-_. ](?:{SIDE}|{VISIT}))+$", re.IGNORECASE)
BEFORE = re.compile(rf"^(?:(?:{SIDE})[-_. ])", re.IGNORECASE)


def subject_of(case_id: str) -> str:
    """The subject that a case seems to be of: its `sub-<label>` as in BIDS, else its name without side, session or point in time."""
    bids = BIDS_SUBJECT.search(case_id)
    return bids[1] if bids else BEFORE.sub("", AFTER.sub("", case_id)) or case_id


def draw_validation(case_ids: Sequence[str], seed: int) -> tuple[set[str], str]:
    """Draw a fifth of the cases, at least one, with all that seem to be of one subject on the same side.

    The order is that of check sums of seed and subject, so that it is the same on every computer and more cases change little of it.

    Args:
        case_ids: at least two.
        seed: another one draws other cases.

    Returns:
        The cases to validate on, and a sentence that says how they were drawn.
    """
    subjects = defaultdict(list)
    for case_id in case_ids:
        subjects[subject_of(case_id)].append(case_id)
    one_subject = len(subjects) == 1
    if one_subject:
        subjects = {case_id: [case_id] for case_id in case_ids}
    wanted = max(1, round(SHARE * len(case_ids)))
    drawn: set[str] = set()
    ordered = sorted(subjects, key=lambda subject: hashlib.sha256(f"{seed}:{subject}".encode()).digest())
    for subject in ordered:
        if len(drawn) + len(subjects[subject]) <= wanted:
            drawn.update(subjects[subject])
    if not drawn:
        drawn.update(min((subjects[subject] for subject in ordered), key=len))
    sentence = f"{len(drawn)} of the {len(case_ids)} cases were drawn to validate on (seed {seed})"
    if one_subject:
        return drawn, f"{sentence}; by their names all are of one subject, so the validation will look better than the model is on other subjects."
    if len(subjects) < len(case_ids):
        return drawn, f"{sentence}; cases of one subject by their names ({len(subjects)} subjects) were kept together."
    return drawn, f"{sentence}; by their names all cases are of different subjects: give a split if they are not."
