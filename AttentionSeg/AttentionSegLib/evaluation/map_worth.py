"""Evaluation of the attention maps of a model: localization, effect on the segmentation, and comparison with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..map_kinds import WHY as WHY_PREFIX
from .map_measures import CENTER, CONSTANT, GATE, LOCALIZATION, MAP_MEASURES, REFERENCES, WHY
from .map_scores import WEIGHTS, MapScores

if TYPE_CHECKING:
    from ..image import Image
    from ..inference import Prediction, Predictor
    from ..models import Model
    from ..options import RunOptions
    from ..progress import Cancel
    from .localization import LabelsOnGrid
    from .map_pictures import MapPictures
    from .progress import EvaluationProgress


def on_torch(options: RunOptions) -> RunOptions:
    """The options with the back end torch, which allows hooks and changes. Raises InputError if another back end is requested."""
    if options.backend not in ("auto", "torch"):
        msg = f"Attention maps cannot be measured with the back end {options.backend}; choose torch, or leave --maps out."
        raise InputError(msg)
    return replace(options, backend="torch")


class MapWorth:
    """Measures the maps of a model case by case, with one scan and one changed network in memory at a time.

    Args:
        predictor: of the model, on torch.
        cases: ids, in the order in which they are measured.
        ignored: the ignore label; its voxels are left out.
        thorough: whether to measure also changed gates and deleted positions, which takes most of the runs.
        explanations: whether to measure also the explanation of each label.

    Attributes:
        explain: the labels whose explanations are measured as maps too, each on its own label; empty if the network has no layer for it.

    Raises:
        InputError: if the network has no maps.
    """

    def __init__(
        self, predictor: Predictor, cases: Sequence[str], ignored: int | None = None, thorough: bool = True, explanations: bool = True
    ) -> None:
        self._predictor, self._ignored, self._thorough = predictor, ignored, thorough
        network, card = predictor.model.network, predictor.model.card
        self._labels = tuple(label.name for label in card.labels)
        self.explain = self._labels if explanations and network.explained_layers else ()
        self._names = [*predictor.attention_names, *([WHY] if self.explain else [])]
        if not predictor.attention_names:
            msg = f"The model {card.id} has no attention maps that could be measured; leave --maps out."
            raise InputError(msg)
        self._numbers, self._cases = [label.value for label in card.labels], tuple(cases)
        shape = len(WEIGHTS), len(cases), len(self._labels), len(self._names) + len(REFERENCES), len(MAP_MEASURES)
        self._values = np.full(shape, np.nan)

    @property
    def runs(self) -> int:
        """The number of runs per case, besides the one that segments it."""
        return 1 + self._thorough * len(WEIGHTS) * len(GATE) * len(self._predictor.model.network.gates)

    @property
    def scores(self) -> MapScores:
        """The scores of the cases measured so far."""
        options, layers = self._predictor.options, self._predictor.model.network.explained_layers
        explained = f"{options.explain_method}, {options.explain_layer or next(iter(layers))}" if self.explain else ""
        return MapScores(self._labels, self._cases, (*self._names, *REFERENCES), self._values, explained)

    def measure(self, number: int, image: Image, prediction: Prediction, reference: Image, progress: EvaluationProgress) -> None:
        """Measure a case.

        Args:
            number: index of the case.
            image: the scan.
            prediction: of the predictor, with its maps and the explanations of `explain`.
            reference: label values on the grid of the scan, the ignore label included.
            progress: called before each run.
        """
        from .faithfulness import with_random_weights

        self._measure(self._values[0, number], self._predictor, image, prediction, reference, progress)
        finest = prediction.attention[self._names[0]]
        labels = self._on_grid_of(finest, reference)
        for name, values in ((CONSTANT, np.ones(finest.shape)), (CENTER, labels.nearness())):
            self._values[0, number, :, self._column(name), : len(LOCALIZATION)] = labels.localization(values)
        random = self._other(with_random_weights(self._predictor.model, number))
        self._measure(self._values[1, number], random, image, self._run(random, image, progress), reference, progress)

    def pictures(self, number: int, image: Image, reference: Image, cancel: Cancel | None = None) -> MapPictures:
        """Pictures of the maps of a measured case; arguments as of `measure`. The network runs once more, to keep no case in memory."""
        from .map_pictures import draw_maps, largest_label

        reference = replace(reference, voxels=np.where(reference.voxels == self._ignored, 0, reference.voxels))
        explain = self.explain and (self.explain[largest_label(reference, self._numbers)],)
        return draw_maps(self.scores, number, image, self._predictor.run(image, explain=explain, cancel=cancel), reference)

    def _measure(
        self, values: np.ndarray, predictor: Predictor, image: Image, prediction: Prediction, reference: Image, progress: EvaluationProgress
    ) -> None:
        labels = None
        for name, attention in prediction.attention.items():
            if labels is None or labels.shape != attention.shape or not np.array_equal(labels.affine, attention.affine):
                labels = self._on_grid_of(attention, reference)
            found = labels.localization(attention.voxels[0])
            if name.startswith(WHY_PREFIX):
                row = self._labels.index(name[len(WHY_PREFIX) :])
                values[row, self._column(WHY), : len(LOCALIZATION)] = found[row]
            else:
                values[:, self._column(name), : len(LOCALIZATION)] = found
        if not self._thorough:
            return
        first = len(LOCALIZATION)
        values[:, :, first : first + len(GATE)] = self._dice_lost(predictor, image, prediction, reference, progress)
        values[:, :, first + len(GATE) :] = self._probability_lost(predictor, image, prediction)[..., None]

    def _dice_lost(self, predictor: Predictor, image: Image, prediction: Prediction, reference: Image, progress: EvaluationProgress) -> np.ndarray:
        from .faithfulness import GATE_CHANGES, with_gate

        lost = np.full((len(self._labels), len(self._names) + len(REFERENCES), len(GATE)), np.nan)
        for name in predictor.model.network.gates:
            for column, measure in enumerate(GATE):
                changed = self._run(self._other(with_gate(predictor.model, name, GATE_CHANGES[measure.key])), image, progress, attention=False)
                lost[:, self._column(name), column] = self._dice(prediction, reference) - self._dice(changed, reference)
        return lost

    def _probability_lost(self, predictor: Predictor, image: Image, prediction: Prediction) -> np.ndarray:
        lost = np.full((len(self._labels), len(self._names) + len(REFERENCES)), np.nan)
        names = prediction.probe.names
        if names:
            from .faithfulness import Deletion

            deletion, rng = Deletion(predictor, image), np.random.default_rng(0)
            for row, value in zip(lost, self._numbers):
                row[[self._column(name) for name in names]] = deletion.probability_lost(prediction.labels, value, names, rng)
        return lost

    def _dice(self, prediction: Prediction, reference: Image) -> np.ndarray:
        counted = reference.voxels != self._ignored
        predicted, true = prediction.labels.voxels[counted], reference.voxels[counted]
        # Counted at once: a comparison of all voxels for each of many labels takes seconds.
        ours, theirs, both = (
            np.bincount(values, minlength=max(self._numbers) + 1)[self._numbers] for values in (predicted, true, true[predicted == true])
        )
        return np.where(ours + theirs, 2 * both / np.maximum(ours + theirs, 1), 1.0)

    def _on_grid_of(self, attention: Image, reference: Image) -> LabelsOnGrid:
        from .localization import LabelsOnGrid

        return LabelsOnGrid(attention, reference, self._numbers, self._ignored)

    def _column(self, name: str) -> int:
        return [*self._names, *REFERENCES].index(name)

    def _other(self, model: Model) -> Predictor:
        from ..inference import Predictor

        # OpenVINO would convert each network for seconds.
        return Predictor(model, options=replace(self._predictor.options, backend="torch"))

    def _run(self, predictor: Predictor, image: Image, progress: EvaluationProgress, attention: bool = True) -> Prediction:
        progress.next_prediction()
        explain = self.explain if attention else ()
        return predictor.run(image, attention=attention, explain=explain, on_progress=progress.within_prediction, cancel=progress.cancel)
