"""The JSON report of a run: inputs, model, software, device and results."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import RESEARCH_ONLY
from ..files import write_text
from ..map_kinds import WHY, map_kind
from ..models.measured_maps import MeasuredMap, measured_map, measured_maps
from ..revision import version_text
from .measurements import Measurement, measure

if TYPE_CHECKING:
    from ..image import Image
    from ..inference.found_regions import FoundRegions
    from ..inference.prediction import Prediction
    from ..models import Card
    from ..region import Region

LIBRARIES = ("torch", "monai", "numpy", "openvino")


def run_report(prediction: Prediction, inputs: Sequence[str], region: Region | None, outputs: Sequence[str]) -> dict[str, Any]:
    """Describe a run as JSON types, with a fixed order of keys.

    Args:
        prediction: the result.
        inputs: the scans, one per channel, as the user named them.
        region: the given box; None for the whole scan, or if regions were found.
        outputs: final paths of the files that were written.

    Returns:
        A document without NaN or infinity: a number that is not finite becomes None.
    """
    return {
        "statement": RESEARCH_ONLY,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": _model(prediction.card),
        "inputs": [str(name) for name in inputs],
        "geometry": {
            "shape": list(prediction.labels.shape),
            "spacing_mm": _numbers(prediction.labels.spacing) if prediction.labels.spacing_known else None,
        },
        "region": None if region is None else _region(region),
        "found": _found(prediction.found),
        "labels": [_label(measurement) for measurement in measure(prediction)],
        "attention": _attention_maps(prediction),
        "outputs": [str(name) for name in outputs],
        "device": prediction.device,
        "backend": prediction.backend,
        **prediction.options.of_result(),
        "seconds": {stage: _number(round(seconds, 3)) for stage, seconds in prediction.seconds.items()},
        "notes": list(prediction.notes),
        "versions": _versions(),
    }


def write_report(report: dict[str, Any], path: Path | str) -> None:
    """Write a report as JSON (UTF-8). Raises OutputError if writing fails, and ValueError for NaN or infinity; no partial file is left."""
    write_text(Path(path), json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _model(card: Card) -> dict[str, Any]:
    return {"id": card.id, "version": card.version, "title": card.title, "weights_sha256": card.weights_sha256}


def _region(region: Region) -> dict[str, Any]:
    directions = [_numbers(direction) for direction in np.asarray(region.axes).T]
    return {"center_ras_mm": _numbers(region.center), "size_mm": _numbers(region.size), "edge_directions_ras": directions}


def _found(found: FoundRegions | None) -> dict[str, Any] | None:
    if found is None:
        return None
    regions = [{"name": name, **_region(region)} for name, region in found.regions.items()]
    return {"by": found.how, "similarity": None if found.similarity is None else _number(found.similarity), "regions": regions}


def _label(measurement: Measurement) -> dict[str, Any]:
    statistics = {key: number if number is None or isinstance(number, int) else _number(number) for key, number in measurement.statistics.items()}
    center = None if measurement.center is None else _numbers(measurement.center)
    return {"value": measurement.value, "name": measurement.name, **statistics, "center_ras_mm": center}


def _attention_maps(prediction: Prediction) -> list[dict[str, Any]]:
    measured, maps, options = measured_maps(prediction.card.raw), prediction.attention, prediction.options
    how = {"method": options.explain_method, "layer": options.explain_layer}
    described = []
    for name, image in maps.items():
        explains = name.startswith(WHY)
        worth = None if explains and not options.explains_as_usual else measured_map(measured, name)
        shown = _attention_map(name, image, maps, prediction.labels.spacing_known)
        described.append({**shown, **(how if explains else {}), **_measured(worth)})
    return described


def _measured(found: MeasuredMap | None) -> dict[str, Any]:
    """What was measured of the map; empty for a map that was not measured."""
    return {} if found is None else {"measured": {**asdict(found), "text": found.text}}


def _attention_map(name: str, image: Image, among: Iterable[str], spacing_known: bool) -> dict[str, Any]:
    return {
        "name": name,
        "title": map_kind(name, among).title_at(image.spacing, spacing_known),
        "shape": list(image.shape),
        "spacing_mm": _numbers(image.spacing) if spacing_known else None,
        "range": [_number(image.voxels.min()), _number(image.voxels.max())],
    }


def _versions() -> dict[str, str]:
    found = {"attentionseg": version_text(), "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    """Rounded to nine digits, which hides the rounding noise of binary fractions."""
    return float(f"{value:.9g}") if math.isfinite(value) else None
