"""The survey of all cases before a training: checks, and the statistics that the plan is made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import write_text
from ..files.requirements import MOST_LABELS
from ..image import Image, Note
from ..inference.checks import check_voxels
from ..models.channels import COLORS
from ..progress import Cancel, OnProgress, Reporter
from .case_set import CaseSet, redrawn
from .case_statistics import CaseStatistics, foreground_intensities, measure_case
from .cases import ROLES, Case, Labeled, named, note_sentences, one_sentence, read_labelled
from .label_tables import gaps_filled, read_otherwise
from .survey_notes import odd_things


@dataclass(frozen=True)
class Foreground:
    """Statistics of a channel at the labeled voxels of the training cases, each case with the same weight."""

    percentile_0_5: float
    percentile_99_5: float
    mean: float
    std: float


@dataclass(frozen=True)
class Survey:
    """Result of a survey.

    Attributes:
        cases: for training (`train`) and validation (`val`).
        channel_names: one per channel, or empty.
        label_names: of all labels by value, `Label 1` and so on if they have no names.
        ignored_label: the ignore label.
        foreground: one per channel.
        about: metadata of the data (see `CaseSet`).
        notes: sentences on how the roles were assigned, and on anomalies.
        in_colors: whether the scans are 2D color images, each with three channels.
    """

    cases: tuple[CaseStatistics, ...]
    channel_names: tuple[str, ...]
    label_names: dict[int, str]
    ignored_label: int | None
    foreground: tuple[Foreground, ...]
    about: dict[str, str]
    notes: tuple[str, ...]
    in_colors: bool = False

    @property
    def train(self) -> list[CaseStatistics]:
        """The training cases."""
        return [case for case in self.cases if case.role == "train"]

    @property
    def spacing_known(self) -> bool:
        """False if no case states its spacing, as 2D image files do not."""
        return any(case.spacing_known for case in self.cases)


def make_survey(
    case_set: CaseSet,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    read: Callable[[Case], Labeled] = read_labelled,
) -> Survey:
    """Read and measure all training and validation cases.

    Args:
        case_set: the cases.
        on_progress: called before each case with the fraction done, the stage `case 3 of 40` and the seconds left, None while unknown.
        cancel: called before each case.
        read: returns scan and label map of a case.

    Raises:
        InputError: one for all problems, naming the files: scans and label maps that cannot be read or are not on one grid, voxels that are not
            finite numbers, scans of one intensity, label values that are not whole numbers or have no name, labels without a voxel in the training
            cases, and more than 254 labels.
        Cancelled: if `cancel` returned True.
    """
    cases = [(role, case) for role in ROLES for case in case_set.roles[role]]
    problems: list[str] = []
    measured: list[CaseStatistics] = []
    samples: dict[str, np.ndarray] = {}
    accepted: dict[str, list[Note]] = {}
    reporter = Reporter(on_progress, cancel)
    for done, (role, case) in enumerate(cases):
        reporter.report(done / len(cases), f"case {done + 1} of {len(cases)}", done, len(cases) - done)
        try:
            image, label, accepted[case.id] = read(case)
            in_colors = image.channels > len(case.images)
            check_voxels(image, COLORS if in_colors else case_set.channel_names or range(image.channels), "take the case out")
            _check_channels(image, case, measured[0] if measured else None)
            labels = _label_values(label, case_set.label_names, case_set.ignored_label)
        except InputError as error:
            problems.append(str(error))
            continue
        measured.append(measure_case(case.id, role, image, labels))
        if labels.any():
            samples[case.id] = foreground_intensities(image, labels)
    if not problems:
        case_set = redrawn(case_set, {case.id: case.labels for case in measured})
        role_of = {case.id: role for role in ROLES for case in case_set.roles[role]}
        measured = [replace(case, role=role_of[case.id]) for case in measured]
        problems = _label_problems(measured, case_set.label_names)
    if problems:
        raise InputError(one_sentence(problems, "The data cannot be used for training"))
    reporter.finish()
    names = dict(case_set.label_names) or {value: f"Label {value}" for value in range(1, 1 + max(max(case.labels, default=0) for case in measured))}
    notes = (*case_set.notes, *note_sentences(accepted, len(cases)), *odd_things(measured, names))
    return Survey(
        tuple(measured),
        case_set.channel_names,
        names,
        case_set.ignored_label,
        _foreground([samples[case.id] for case in measured if case.role == "train" and case.labels]),
        dict(case_set.about),
        notes,
        bool(cases[0][1].images) and len(measured[0].intensities) > len(cases[0][1].images),
    )


def write_survey(survey: Survey, path: Path) -> None:
    """Write a survey as JSON, completely or not at all. Raises OutputError if it cannot be written."""
    write_text(path, json.dumps(asdict(survey), indent=1, ensure_ascii=False))


def _check_channels(image: Image, case: Case, first: CaseStatistics | None) -> None:
    """Raise InputError unless an image has as many channels as that of the first case: all color, or all gray."""
    if first is not None and image.channels != len(first.intensities):
        what = {True: "in colors", False: "gray"}[image.channels > len(case.images)]
        msg = f"{image.name} is {what}, and {first.id} is not; convert all alike."
        raise InputError(msg)


def _label_values(label: Image, names: Mapping[int, str], ignored: int | None) -> np.ndarray:
    """Label values [I, J, K] int32, 0 for background and ignored voxels. Raises InputError for values that are not labels."""
    voxels = label.voxels[0]
    values = np.unique(voxels)
    wrong = None
    if len(values) > MOST_LABELS + 2:
        wrong = "holds too many different values for a label map; give whole numbers, 0 for background"
    else:
        allowed = {0, ignored, *names} if names else {*range(MOST_LABELS + 1), ignored}
        unknown = [value for value in values.tolist() if value not in allowed]
        if unknown:
            known = ", ".join(f"{value} {name}" for value, name in names.items()) or f"1..{MOST_LABELS}"
            wrong = f"holds {named(list(map(str, unknown)))}, not among the labels (0 background, {known}); {read_otherwise(unknown[0])}"
    if wrong:
        msg = f"{label.name} {wrong}."
        raise InputError(msg)
    labels = voxels.astype(np.int32)
    if ignored is not None:
        labels[labels == ignored] = 0
    return labels


def _label_problems(cases: list[CaseStatistics], names: Mapping[int, str]) -> list[str]:
    learned = {value for case in cases if case.role == "train" for value in case.labels}
    found = {value for case in cases for value in case.labels}
    if not learned:
        return ["No training case has a label; check the label maps and the split."]
    if not names:
        skipped = sorted(set(range(1, max(found))) - found)
        if skipped:
            return [
                f"The label maps hold {named([str(value) for value in sorted(found)])}, but not {named([str(value) for value in skipped])}; "
                f"{gaps_filled(sorted(found))}, or name the value to ignore (--ignored-label)."
            ]
    missing = [f"{value} {names.get(value, '')}".strip() for value in sorted({*names, *found} - learned)]
    return [f"No training case has a voxel of {named(missing)}; take these labels out, or change the split."] if missing else []


def _foreground(samples: list[np.ndarray]) -> tuple[Foreground, ...]:
    """Percentiles of all samples, and mean and standard deviation."""
    channels = []
    fewest = min(sample.shape[1] for sample in samples)
    even = [sample[:, np.linspace(0, sample.shape[1] - 1, max(fewest, 1000)).astype(int)] for sample in samples]
    for voxels in np.concatenate(even, axis=1):
        low, high = np.percentile(voxels, (0.5, 99.5)).tolist()
        channels.append(Foreground(low, high, float(voxels.mean()), float(voxels.std())))
    return tuple(channels)
