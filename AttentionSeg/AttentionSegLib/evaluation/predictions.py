"""Evaluation of existing segmentations by any program against labels, without model and scans."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..datasets.case_files import check_folders, label_maps_in
from ..datasets.cases import Case, named, note_sentences, one_sentence
from ..datasets.label_reading import AS_STORED, LabelReading, labels_on_scan, read_labels
from ..datasets.label_tables import read_alike, read_otherwise
from ..errors import InputError
from ..files.names import without_parents
from ..files.own_files import SEGMENTATION, own_file
from ..reporting.pages import render
from ..writing import all_or_none, write_text
from .cases import absence_note
from .definitions import MEAN, METRICS
from .page import MEANS
from .progress import EvaluationProgress
from .results import results_folder, tables
from .statistics import PredictionScores

if TYPE_CHECKING:
    from ..image import Image, Note
    from ..progress import Cancel, OnProgress

# Results of a batch: the folder of the case folders.
BATCH_CASES = "cases"


@dataclass(frozen=True, eq=False)
class EvaluatedPredictions:
    """The results: the scores, the files written, the page first, and sentences on what was accepted or left out."""

    scores: PredictionScores
    files: tuple[Path, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pair:
    id: str
    predicted: Case
    true: Case


def evaluate_predictions(
    predictions: str | os.PathLike,
    labels: str | os.PathLike,
    output: str | os.PathLike,
    *,
    reading: LabelReading = AS_STORED,
    label_names: Mapping[int, str] | None = None,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> EvaluatedPredictions:
    """Measure segmentations on the grids of their reference labels, as `evaluate` does; writes `metrics.csv`, `summary.json` and `report.html`.

    Args:
        predictions: folder of label maps, or of the results of a batch. Those without a reference are left out, with a note.
        labels: folder of reference label maps of the same names; those without a prediction are left out, with a note.
        output: folder for the results, created if needed; it must not contain an earlier evaluation.
        reading: how the label maps of both folders are read.
        label_names: by value from 1; those of the segments when left out, else `Label 1` and so on.
        on_progress, cancel: see `Predictor`.

    Raises:
        InputError: before any work, naming all cases that cannot be measured.
        OutputError: if a file cannot be written.
    """
    pairs, notes = _pairs(Path(predictions), Path(labels))
    both, names = read_alike([case for pair in pairs for case in (pair.true, pair.predicted)], reading, label_names or {})
    pairs = [_Pair(pair.id, predicted, true) for pair, true, predicted in zip(pairs, both[::2], both[1::2])]
    with results_folder(output) as folder:
        progress = EvaluationProgress(len(pairs), 1, on_progress, cancel)
        names, accepted = _check(pairs, names, reading, progress)
        scores = _measure(pairs, names, reading, progress)
        notes += accepted + (absence_note(scores.absent) if label_names else [])
        folders = {"predictions": without_parents(predictions), "references": without_parents(labels)}
        page = render("predictions.html", scores=scores, notes=notes, **folders, **MEANS)
        texts = {"report.html": page, **tables(scores)}
        with all_or_none(folder) as stage:
            for name, text in texts.items():
                write_text(stage / name, text)
    progress.finish()
    return EvaluatedPredictions(scores, tuple(folder / name for name in texts), tuple(notes))


def _pairs(predictions: Path, labels: Path) -> tuple[list[_Pair], list[str]]:
    check_folders(predictions, labels)
    if predictions.samefile(labels):
        msg = f"The predictions and the label maps are both {predictions}; give the folder of each."
        raise InputError(msg)
    true, found = label_maps_in(labels), _predictions_in(predictions)
    found, notes = _named_alike(found, true)
    shared = sorted(true.keys() & found.keys())
    if not shared:
        msg = (
            f"No prediction in {predictions} ({named(sorted(found)) or 'which holds none'}) has the name of a label map in {labels} "
            f"({named(sorted(true)) or 'which holds none'}); give both of a case the same name."
        )
        raise InputError(msg)
    notes += [
        f"{len(lonely)} {kind} left out: {named(lonely)}."
        for kind, lonely in (
            ("label map(s) without a prediction were", sorted(true.keys() - found.keys())),
            ("prediction(s) without a label map were", sorted(found.keys() - true.keys())),
        )
        if lonely
    ]
    return [_Pair(name, Case(name, (), found[name]), Case(name, (), true[name])) for name in shared], notes


def _predictions_in(folder: Path) -> dict[str, Path]:
    """The label maps in a folder by name, without maps of AttentionSeg; for results of a batch the segmentation of each case."""
    cases = folder / BATCH_CASES
    if not cases.is_dir():
        return {name: path for name, path in label_maps_in(folder).items() if (made := own_file(path)) is None or made.kind == SEGMENTATION}
    files = (path for case in sorted(cases.iterdir()) if case.is_dir() for path in sorted(case.iterdir()))
    return {path.parent.name: path for path in files if (made := own_file(path)) is not None and made.kind == SEGMENTATION}


def _named_alike(found: dict[str, Path], true: Mapping[str, Path]) -> tuple[dict[str, Path], list[str]]:
    """The predictions by the names of their cases: if none has the name of a case, without what the program added to every name, and a note of that.

    `segment` adds `_segmentation`, other programs `_seg`, or they keep the `_0000` of a channel.
    """
    if found.keys() & true.keys():
        return found, []
    added = {name[len(case) :] for name in found for case in true if name.startswith(case) and not name[len(case)].isalnum()}
    if len(added) != 1:
        return found, []
    (suffix,) = added
    return {name.removesuffix(suffix): path for name, path in found.items()}, [f"The predictions were paired without the '{suffix}' of their names."]


def _read(pair: _Pair, reading: LabelReading) -> tuple[Image, Image, list[Note]]:
    """Read prediction and reference on the grid of the reference, without its ignored voxels, and notes about what was accepted."""
    true, notes = read_labels(pair.true.label, pair.true.reading)
    predicted, more = read_labels(pair.predicted.label, pair.predicted.reading)
    predicted, beside = labels_on_scan(predicted, true, reading.resample, ("prediction", "reference"))
    counted = true.voxels != reading.ignored_label
    predicted, true = (replace(one, voxels=np.where(counted, one.voxels, 0)) for one in (predicted, true))
    notes = [note for note in dict.fromkeys([*notes, *more, *beside]) if not note.of_all or (note in notes and note in more)]
    return predicted, true, notes


def _check(pairs: Sequence[_Pair], names: Mapping[int, str], reading: LabelReading, progress: EvaluationProgress) -> tuple[dict[int, str], list[str]]:
    """The names of all labels by value, and sentences about what was accepted."""
    problems: list[str] = []
    accepted: dict[str, list[Note]] = {}
    # By whether they are predicted or true.
    values: tuple[set[int], set[int]] = (set(), set())
    for pair in pairs:
        progress.next_check()
        try:
            predicted, true, accepted[pair.id] = _read(pair, reading)
            for known_values, one in zip(values, (predicted, true)):
                known_values.update(_values(one, names))
        except InputError as error:
            problems.append(str(error))
    both = sorted(set.union(*values))
    if not problems and not both and not names:
        problems = ["there is no label in any of the label maps; check the folders."]
    if problems:
        raise InputError(one_sentence(problems, "The predictions cannot be measured"))
    known = dict(names) or {value: f"Label {value}" for value in both}
    if MEAN in known.values():
        msg = f"A label is called '{MEAN}', which stands for the mean of the labels here; give it another name (--label-names)."
        raise InputError(msg)
    notes = note_sentences(accepted, len(pairs))
    only_predicted, only_true = ([str(value) for value in both if value not in other] for other in values[::-1])
    if (only_predicted or only_true) and not names:
        sides = ((only_predicted, "in no label map"), (only_true, "in no prediction"))
        where = ", and ".join(f"{named(which)} {place}" for which, place in sides if which)
        notes.append(f"Values that are on one side only: {where}; say which label they are (--label-map) or that they are ignored (--ignored-label).")
    return known, notes


def _values(labels: Image, names: Mapping[int, str]) -> list[int]:
    """The label values in a map. InputError for values that are not labels."""
    values = [value for value in np.unique(labels.voxels).tolist() if value != 0]
    wrong = [value for value in values if (value not in names if names else value < 0)]
    if wrong:
        known = ", ".join(f"{value} {name}" for value, name in names.items()) or "whole numbers from 1"
        what = named(list(map(str, wrong)))
        msg = f"{labels.name} holds {what}, not among the labels (0 background, {known}); {read_otherwise(wrong[0])}."
        raise InputError(msg)
    return values


def _measure(pairs: Sequence[_Pair], names: Mapping[int, str], reading: LabelReading, progress: EvaluationProgress) -> PredictionScores:
    # Imported after the checks because the metrics import torch, which takes seconds.
    from .metrics import case_metrics, labels_in

    values = np.full((len(pairs), len(names), len(METRICS)), np.nan)
    absent = set(names)
    for n, pair in enumerate(pairs):
        progress.next_prediction()
        predicted, true, _ = _read(pair, reading)
        values[n] = case_metrics(predicted, true, list(names))
        absent -= labels_in(true, absent)
    missing = tuple(name for value, name in names.items() if value in absent)
    return PredictionScores(tuple(names.values()), tuple(pair.id for pair in pairs), values, missing)
