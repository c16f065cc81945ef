"""What a training is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .synthesis.settings import Synthesis

BY_PYTHON = "AttentionSegLib.training.train_model"
# Those that `PlanOptions` explains.
OF_PLAN = ("title", "modality", "region", "labels", "license", "slices", "context", "backbone", "seed")


@dataclass(frozen=True)
class TrainingOptions:
    """Everything that may be left out when a model is trained.

    Attributes:
        work: folder for this training; `<output>-training` when left out.
        plan: recipe to follow instead of making one, such as an edited `plan.json` of another work folder.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `cuda:0,1` for several GPUs, or `mps`.
        hours: that the training may take here, from which sizes and steps are planned; 3 when left out.
        restart: whether to plan again and to begin from the first step, whatever the work folder holds.
        start_from: id or folder of a model whose weights the training starts from; what depends on the labels starts anew.
        pretrained: file or URL of weights for the backbone of guided-attention (see `networks.pretrained.load_pretrained`).
        synthesis: how images are drawn, where the cases to learn from are label maps alone (see `label_cases`); the plan rules once there is one.
            Cases to validate on that have no scan get a drawn one, in the work folder.
        command: kept in the card, to tell how the model was made.
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

    @property
    def main_device(self) -> str:
        """The first of several, which plans and measures."""
        return self.device.split(",")[0]

    @property
    def of_plan(self) -> dict[str, Any]:
        """Those of a plan that were given."""
        return {name: getattr(self, name) for name in OF_PLAN if getattr(self, name) is not None}

    def asked(self, network: str | None) -> dict[str, Any]:
        """What a plan is compared with (see `plan_match`), with the name of a model in place of where it lies."""
        start_from = None if self.start_from is None else Path(self.start_from).name
        return {**self.of_plan, "network": network, "hours": self.hours, "start_from": start_from, "synthesis": self.synthesis}
