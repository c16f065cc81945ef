"""Evaluation of a model on labelled scans: metrics per case, means with intervals, and a report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.cases import MOST_NAMED, Case, note_sentences, one_sentence, read_labelled
from ..errors import InputError
from ..files.names import without_folders, without_parents
from ..inference.checks import is_searched
from ..inference.fit import image_fit, rescaled
from ..models import Card, find_model
from ..models.card import CARD_NAME
from ..models.own_card import check_own, update_card
from ..options import RunOptions
from ..region import Region
from ..reporting import check_drawing
from .card_entries import accuracy_entries, map_entries
from .cases import absence_note, check_labelled, check_whole, fold_sides, has_sides, judged_cards, labelled_cases, readable_cases
from .definitions import MEAN, METRICS
from .map_worth import MapWorth, on_torch
from .options import OPTIONS, EvaluationOptions
from .progress import EvaluationProgress
from .regions import read_regions
from .results import results_folder, write_results
from .statistics import DICE, Scores

if TYPE_CHECKING:
    from ..image import Image, Note
    from ..inference import Predictor
    from ..models import Model
    from ..progress import Cancel, OnProgress
    from .map_scores import MapScores
    from .page import Picture


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results of an evaluation.

    Attributes:
        scores: of the model; `scores.summary()` gives the means with intervals.
        compared: scores of the model it was compared with, on the same cases.
        files: that were written, the page first.
        notes: sentences on accepted deviations of label maps.
        maps: scores of the attention maps of the model, if requested.
    """

    scores: Scores
    compared: Scores | None
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    maps: MapScores | None = None


def evaluate(
    model: Model | str | os.PathLike,
    images: str | os.PathLike,
    labels: str | os.PathLike,
    output: str | os.PathLike,
    *,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    **options: Any,
) -> Evaluation:
    """Segment labelled scans and compute METRICS per label, on the grid of each scan.

    Writes `metrics.csv` (case,label,metric,value), `summary.json` ({label: {metric: {mean, low, high, n}}}, where the label `mean` is the mean of the
    labels of each case) and `report.html`; with `compare` also `comparison.json`, the same of the paired differences, and `compared_metrics.csv` and
    `compared_summary.json` of the other model; with `maps` also `maps.csv` (case,label,map,weights,measure,value) and `maps.json`
    ({label: {map: {measure: {trained, random, not_above_random}}}}, see `MapScores.summary`).

    A label that is empty in both reference and prediction counts as right: Dice and surface Dice 1, distances and volume error 0. If only one is
    empty, Dice and surface Dice are 0, distances are undefined (NaN, left out of the mean; n is the number of cases in it), and the volume
    error is -100 % for an empty prediction and undefined for an empty reference.

    Args:
        model: a loaded model, the id of an installed one, or the path of a model folder. A model that needs a region takes scans that are no larger
            than the region; one that finds its regions takes larger scans too.
        images: folder of scans, `<id>.nii.gz` or another scan format; for several channels `<id>_0000.nii.gz`, `<id>_0001.nii.gz` and so on.
        labels: folder of label maps of the same names, on the grids of the scans, with the label values of the model, or of its regions (see
            `models.card_of_sides`). If no label map distinguishes sides, those of the predictions are ignored. Segments of a `.seg.nrrd` are
            identified by their names.
        output: folder for the results, created if needed; it must not contain an earlier evaluation.
        on_progress, cancel: see `Predictor`.
        options: those of `EvaluationOptions`, and `options` or single ones of `RunOptions`, for both models.

    Raises:
        InputError: before any work, if a model, a scan, a label map, the split, the device or the folder cannot be used, or the card not be updated.
        OutputError: if a file cannot be written. Then, and after cancellation, files and folders are as before; the results stay if only the card
            cannot be written.
    """
    asked = EvaluationOptions(**{name: options.pop(name) for name in OPTIONS & options.keys()})
    given = [model] if asked.compare is None else [model, asked.compare]
    run = replace(options.pop("options", None) or RunOptions(), **options)
    asked.check_explaining(run)
    run = on_torch(run) if asked.maps else run
    folders = [find_model(one) if isinstance(one, (str, os.PathLike)) else one.folder for one in given]
    cards = [Card.load(folder / CARD_NAME) if isinstance(one, (str, os.PathLike)) else one.card for one, folder in zip(given, folders)]
    _check_cards(cards)
    if asked.update_card is not None:
        check_own(folders[0])
    if asked.maps and asked.regions is not None:
        msg = "Attention maps are measured on scans that are segmented as a whole; leave out the regions, or the maps."
        raise InputError(msg)
    cases = labelled_cases(Path(images), Path(labels), None if asked.split is None else Path(asked.split), asked.role)
    cases = readable_cases(cases, asked.reading, cards[0])
    regions = {} if asked.regions is None else read_regions(Path(asked.regions), cases)
    with results_folder(output) as folder:
        check_drawing("The report of an evaluation")
        # Imported after all checks that do not need torch, which takes seconds to import.
        from ..inference import Predictor
        from .map_pictures import typical_case
        from .page import Data, Findings

        predictors = [Predictor(one, options=run) for one in given]
        ids, ignored = [case.id for case in cases], asked.reading.ignored_label
        worth = MapWorth(predictors[0], ids, ignored, explanations=not asked.without_explanations) if asked.maps else None
        progress = EvaluationProgress(len(cases), len(given) + (worth.runs if worth else 0), on_progress, cancel)
        cards = [predictor.model.card for predictor in predictors]
        judged, notes = _check_cases(cases, cards, progress, asked.maps, regions, run.rescale)
        scores, pictures = measure_cases(predictors, cases, progress, ignored, judged, worth, regions)
        notes += absence_note(scores[0].absent)
        compared = scores[1] if asked.compare is not None else None
        data = Data(
            without_parents(images), without_parents(labels), None if asked.split is None else without_parents(asked.split), asked.role, tuple(notes)
        )
        maps, map_pictures = None, None
        if worth is not None:
            maps = worth.scores
            number = typical_case(maps)
            image, reference, _ = read_labelled(cases[number])
            map_pictures = worth.pictures(number, rescaled(image, cards[0]) if run.rescale else image, reference, cancel)
        files = write_results(folder, Findings(scores[0], compared, data, pictures, maps, map_pictures))
    if asked.update_card is not None:
        named = asked.update_card, asked.command
        update_card(folders[0], cards[0].weights_sha256, accuracy_entries(scores[0], *named), map_entries(maps, *named) if maps else ())
    progress.finish()
    return Evaluation(scores[0], compared, files, tuple(notes), maps)


def _check_cards(cards: Sequence[Card]) -> None:
    for card in cards:
        if any(label.name == MEAN for label in card.labels):
            msg = f"The model {card.id} has a label called '{MEAN}', which stands for the mean of the labels here; rename it in the card."
            raise InputError(msg)
    first, last = ([label.name for label in card.labels] for card in (cards[0], cards[-1]))
    if first != last:
        ids = " and ".join(f"{card.id} ({', '.join(label.name for label in card.labels)})" for card in cards)
        msg = f"The models {ids} do not have the same labels in the same order; compare models of the same structures."
        raise InputError(msg)


def _check_cases(
    cases: Sequence[Case], cards: Sequence[Card], progress: EvaluationProgress, maps: bool, regions: Mapping[str, Region], rescale: bool
) -> tuple[list[Card], list[str]]:
    """The cards by whose labels the cases are measured, and accepted deviations. Raises InputError naming all cases that cannot be measured."""
    sided, searched, problems = [], [], []
    accepted: dict[str, list[Note]] = {}
    unfit: list[str] = []
    for case in cases:
        progress.next_check()
        try:
            image, reference, accepted[case.id] = read_labelled(case)
            check_labelled(image, reference, cards, case.reading.ignored_label, regions.get(case.id))
            if maps:
                check_whole(image, cards[0])
        except InputError as error:
            problems.append(str(error))
            continue
        image = rescaled(image, cards[0]) if rescale else image
        unfit += [without_folders(sentence, case.images) for sentence in image_fit(cards[0], image)]
        searched.append(case.id not in regions and is_searched(image.spacing * image.shape, cards[0]))
        if has_sides(reference, cards[0], case.reading.ignored_label):
            sided.append(reference.name)
    if problems:
        raise InputError(one_sentence(problems, "The model cannot be measured"))
    more = [f"And {len(unfit) - MOST_NAMED} more such deviations of scans."] if len(unfit) > MOST_NAMED else []
    return judged_cards(cards, sided, searched), [*note_sentences(accepted, len(cases)), *unfit[:MOST_NAMED], *more]


def measure_cases(
    predictors: Sequence[Predictor],
    cases: Sequence[Case],
    progress: EvaluationProgress,
    ignored: int | None = None,
    judged: Sequence[Card] | None = None,
    worth: MapWorth | None = None,
    regions: Mapping[str, Region] | None = None,
) -> tuple[list[Scores], list[Picture]]:
    """Segment cases and measure the results.

    Args:
        predictors: of one or more models with the same labels.
        cases: that were checked.
        progress: called before each prediction.
        ignored: the ignore label; its voxels are left out.
        judged: for each model the card whose labels are measured; its own when left out.
        worth: measures each case, with the maps of the first model.
        regions: boxes to segment, by case id; other cases are segmented as a whole, or in the regions that the models find.

    Returns:
        The scores of each model, and pictures of the worst cases of the first.
    """
    from .metrics import case_metrics, labels_in
    from .pictures import with_case

    cards = judged or [predictor.model.card for predictor in predictors]
    numbers = [label.value for label in cards[0].labels]
    values = np.full((len(predictors), len(cases), len(numbers), len(METRICS)), np.nan)
    worst: list[Picture] = []
    absent = set(numbers)
    for n, case in enumerate(cases):
        image, reference, _ = read_labelled(case)
        image = rescaled(image, predictors[0].model.card) if predictors[0].options.rescale else image
        labelled, counted = reference, reference.voxels != ignored
        reference = _where(reference, counted)
        absent -= labels_in(reference, absent)
        for m, predictor in enumerate(predictors):
            progress.next_prediction()
            of_maps = worth if m == 0 else None
            region = (regions or {}).get(case.id)
            explain = () if of_maps is None else of_maps.explain
            prediction = predictor.run(
                image, region, attention=of_maps is not None, explain=explain, on_progress=progress.within_prediction, cancel=progress.cancel
            )
            if len(prediction.card.labels) != len(numbers):
                prediction = replace(prediction, labels=fold_sides(prediction.labels, cards[m]), card=cards[m])
            prediction = replace(prediction, labels=_where(prediction.labels, counted))
            values[m, n] = case_metrics(prediction.labels, reference, numbers)
            if m == 0:
                worst = with_case(worst, case.id, values[m, n, :, DICE], image, prediction, reference)
            if of_maps is not None:
                of_maps.measure(n, image, prediction, labelled, progress)
    names = tuple(case.id for case in cases)
    scores = [_scores(card, names, found, predictor) for card, predictor, found in zip(cards, predictors, values)]
    return [replace(one, absent=tuple(label.name for label in one.card.labels if label.value in absent)) for one in scores], worst


def _scores(card: Card, cases: tuple[str, ...], values: np.ndarray, predictor: Predictor) -> Scores:
    return Scores(replace(card, overlap=predictor.overlap), cases, values, predictor.options.mirroring)


def _where(labels: Image, counted: np.ndarray) -> Image:
    """The label map with 0 where `counted` is False."""
    return labels if counted.all() else replace(labels, voxels=labels.voxels * counted)
