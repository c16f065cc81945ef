"""The options of an evaluation."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ..datasets.label_reading import AS_STORED, LabelReading
from ..errors import InputError

if TYPE_CHECKING:
    from ..models import Model
    from ..options import RunOptions

BY_PYTHON = "AttentionSegLib.evaluation.evaluate"


@dataclass(frozen=True, eq=False)
class EvaluationOptions:
    """Optional settings of an evaluation.

    Attributes:
        split, role: CSV file with the columns `id` and `role`, and the role of the cases to take; all scans of the folder when left out.
        compare: another model with the same labels.
        regions: CSV file with the columns `id` and `region` (R,A,S,W,H,D in mm): the box of each case that is segmented, instead of the regions that
            the model finds.
        reading: how the label maps are read: values to read as others, the ignore label, whether to resample.
        maps: whether to measure the attention maps of the model as well (see MAP_MEASURES), on scans that are segmented as a whole. Everything then
            runs on torch.
        without_explanations: whether `maps` leaves out the explanation of each label, which takes a backward pass per patch and label.
        update_card: name of the data. With it, the Dice of the model, and with `maps` the figures of its maps, are written into its card as measured
            on these data; a model that ships with AttentionSeg is refused.
        command: stored in the card with the figures, to document how they were measured.
    """

    split: str | os.PathLike | None = None
    role: str | None = None
    compare: Model | str | os.PathLike | None = None
    regions: str | os.PathLike | None = None
    reading: LabelReading = AS_STORED
    maps: bool = False
    without_explanations: bool = False
    update_card: str | None = None
    command: str = BY_PYTHON

    def __post_init__(self) -> None:
        if self.update_card is not None and not self.update_card.strip():
            msg = "The name of the data for the model card is empty; name the data that the figures were measured on."
            raise InputError(msg)
        if self.without_explanations and not self.maps:
            msg = "Without the maps no explanation is measured; ask for the maps too, or do not ask to leave out the explanations."
            raise InputError(msg)

    def check_explaining(self, run: RunOptions) -> None:
        """Raise InputError for a layer or method of explanations where no label is explained, or the card would take them for the usual ones."""
        msg = None
        if run.explains_as_usual:
            return
        if not self.maps or self.without_explanations:
            msg = "No label is explained, so layer and method of explanations have no effect; leave them out, or measure the maps with explanations."
        elif self.update_card is not None:
            msg = (
                "The card holds figures of explanations as every run makes them, not by another layer or method; "
                "leave these out, or the explanations, or leave the card as it is."
            )
        if msg:
            raise InputError(msg)


# Names of the options.
OPTIONS = {field.name for field in fields(EvaluationOptions)}
