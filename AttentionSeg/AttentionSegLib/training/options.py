"""The options of a training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models.found_by import FindingModel
from ..planning.plan_options import check_hours_and_seed
from .synthesis.settings import Synthesis

BY_PYTHON = "AttentionSegLib.training.train_model"
# Options that are passed on to the plan; see `PlanOptions`.
OF_PLAN = ("title", "modality", "region", "labels", "license", "slices", "context", "backbone", "seed")


@dataclass(frozen=True)
class TrainingOptions:
    """Optional settings of a training. Raises InputError for hours or a seed out of range.

    Attributes:
        work: folder for this training; `<output>-training` when left out.
        plan: recipe to follow instead of making one, such as an edited `plan.json` of another work folder.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `cuda:0,1` for several GPUs, or `mps`.
        hours: for the training on this computer, by which sizes and steps are planned; 3 when left out.
        restart: whether to plan again and train from scratch, whatever the work folder contains.
        start_from: id or folder of a model whose weights the training starts from; layers that depend on the labels start at random.
        pretrained: file or URL of weights for the backbone of guided-attention (see `networks.pretrained.load_pretrained`).
        synthesis: how images are synthesized if the training cases are label maps without scans (see `label_cases`); an existing plan overrides it.
            Validation cases without scans get a synthetic one, in the work folder.
        found_by: `MODEL:LABEL`, or `MODEL:right=LABEL,left=LABEL`, to train a model for the region around a label of another model, which finds it in
            the training cases, as it later will in other scans.
        rescale: whether to subtract 1024 from scans that look like CT stored as HU + 1024 (see `RunOptions`); an existing plan overrides it.
        command: stored in the card, to document how the model was made.
        title, modality, region, labels, license, slices, context, backbone, seed: see `PlanOptions`.
    """

    work: str | os.PathLike | None = None
    plan: str | os.PathLike | None = None
    device: str = "auto"
    hours: float | None = None
    restart: bool = False
    start_from: str | os.PathLike | None = None
    pretrained: str | None = None
    synthesis: Synthesis | None = None
    found_by: str | None = None
    rescale: bool = False
    command: str = BY_PYTHON
    title: str | None = None
    modality: str | None = None
    region: bool | None = None
    labels: Sequence[dict[str, Any]] | None = None
    license: str | None = None
    slices: str | None = None
    context: int | None = None
    backbone: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        check_hours_and_seed(self.hours, self.seed)

    @property
    def finding(self) -> FindingModel | None:
        """What finds the regions. Raises InputError if `found_by` cannot be parsed."""
        return None if self.found_by is None else FindingModel.parse(self.found_by)

    @property
    def main_device(self) -> str:
        """The first of several devices, used for planning and measuring."""
        return self.device.split(",")[0]

    @property
    def of_plan(self) -> dict[str, Any]:
        """The options for the plan that were given."""
        return {name: getattr(self, name) for name in OF_PLAN if getattr(self, name) is not None}

    def asked(self, network: str | None, output: str | None) -> dict[str, Any]:
        """The options that a plan is compared with (see `plan_match`), with ids of models instead of their paths; `output` is that of the new one."""
        start_from = None if self.start_from is None else Path(self.start_from).name
        return {
            **self.of_plan,
            "network": network,
            "output": output,
            "hours": self.hours,
            "start_from": start_from,
            "synthesis": self.synthesis,
            "found_by": self.found_by,
            "rescale": self.rescale or None,
        }
