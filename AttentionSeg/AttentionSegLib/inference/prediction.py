"""The result of the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..options import RunOptions
from .probe import Probe

if TYPE_CHECKING:
    from ..image import Image
    from ..models import Card
    from ..region import Region
    from .found_regions import FoundRegions


@dataclass(frozen=True, eq=False)
class Prediction:
    """A segmentation with uncertainty, attention maps and a record of the run.

    Attributes:
        labels: label values, [1, I, J, K] uint8 or uint16 (by the largest value), in the geometry of the input.
        uncertainty: 0 (sure) to 1, [1, I, J, K] float32, geometry of the input; 0 outside the region. Guided attention: doubt and spread of its
            four scales (`networks.scale_spread`). Attention U-Net: entropy of the probabilities over its largest possible value.
        attention: maps by name (`gate_2`, `position_scale1_step2`, ...), each [1, I, J, K] float32 with the grid that it has in the network, or the
            input's on request.
        probabilities: softmax per label, background first, [1 + labels, I, J, K] float16, geometry of the input; None unless asked for.
        card: the card of the model that was used; where its regions were found, with the labels of each region (see `models.card_of_sides`).
        device: where the network ran at the end: `cpu`, `cuda:0` or `mps`.
        backend: `torch` or `openvino`.
        options: as requested, with the overlap that was used.
        seconds: duration of each stage by name; of all regions together.
        notes: one sentence for everything that was done other than requested, such as falling back to the CPU.
        unlike: the one of them that says that the scan shows something else, by the arrangement of the labels; else empty.
        misfits: those of the notes that state how the scan differs from the training data of the model.
        probe: rows of position attention, `probe.row(ras)`; without names for networks or runs that have no position maps.
        found: the regions that were found, and how; None if a region was given, or the whole scan was segmented.
        region: that was given; None if regions were found, or the whole scan was segmented.
    """

    labels: Image
    uncertainty: Image
    attention: dict[str, Image]
    probabilities: Image | None
    card: Card
    device: str
    backend: str = "torch"
    options: RunOptions = field(default_factory=RunOptions)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()
    unlike: str = ""
    probe: Probe = field(default_factory=Probe)
    found: FoundRegions | None = None
    region: Region | None = None

    @property
    def regions(self) -> dict[str, Region]:
        """The regions that were found, by name, such as `right` and `left`; empty if a region was given, or the whole scan was segmented."""
        return {} if self.found is None else self.found.regions

    @property
    def computed_on(self) -> str:
        """Device and, if it is not torch, back end in words, such as `cpu with OpenVINO`."""
        return f"{self.device} with OpenVINO" if self.backend == "openvino" else self.device
