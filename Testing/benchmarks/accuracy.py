"""Dice of a model on labelled scans, through the command line on the original files.

    python Testing/benchmarks/accuracy.py MODEL --images DIR --labels DIR --split FILE [--role val] [--write-card]

Prints mean and bootstrap 95 % interval per label and over the labels; --write-card records them in the model's card.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK
import torch
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.datasets.cases import Case, find_cases
from AttentionSegLib.files import write_text
from AttentionSegLib.models import Card, find_model
from monai.metrics import compute_dice

RESAMPLES = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="id of a model, or path of a model folder")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--role", default="val", help="part of the split to measure on (default: val)")
    parser.add_argument("--write-card", action="store_true", help="record the result in the card of the model")
    options = parser.parse_args()

    folder = find_model(options.model)
    card = Card.load(folder / "model.json")
    cases = find_cases(options.images, options.labels, options.split)[options.role]
    dice = np.array([case_dice(case, folder, len(card.labels)) for case in cases])

    columns = {**{label.name: dice[:, i] for i, label in enumerate(card.labels)}, "mean of the labels": np.nanmean(dice, 1)}
    rows = []
    for name, values in columns.items():
        mean, low, high = mean_and_interval(values)
        print(f"{name:<28} Dice {mean:.4f}  (95 % interval {low:.4f} to {high:.4f}, worst case {np.nanmin(values):.4f}, {len(cases)} cases)")
        rows.append((name, mean))
    if options.write_card:
        record(folder / "model.json", rows, options.role, len(cases))


def case_dice(case: Case, model: Path, labels: int) -> np.ndarray:
    """Dice per label of one case: segmented by the command, read back from the file it wrote. NaN for a label that the case lacks."""
    with tempfile.TemporaryDirectory() as output:
        silence = io.StringIO()
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            code = attentionseg(["segment", str(case.images[0]), "--model", str(model), "--output", output, "--attention", "none"])
        if code:
            raise SystemExit(f"{case.id}: {silence.getvalue()}")
        written = next(Path(output).glob("*_segmentation.seg.nrrd"))
        maps = [torch.from_numpy(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).astype(np.int64)) for path in (written, case.label)]
    hot = [torch.stack([values == value for value in range(labels + 1)])[None] for values in maps]
    return compute_dice(*hot, include_background=False)[0].numpy()


def mean_and_interval(values: np.ndarray) -> tuple[float, float, float]:
    values = values[~np.isnan(values)]
    resampled = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(1)
    return float(values.mean()), *(float(v) for v in np.percentile(resampled, (2.5, 97.5)))


def record(path: Path, rows: list[tuple[str, float]], role: str, cases: int) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    command = f"python Testing/benchmarks/accuracy.py {document['id']} --images images --labels labels --split split.csv --role {role}"
    data = f"{document['training_data'][0]['name']}, {role} cases"
    document["accuracy"] = [
        {"data": data, "label": name, "metric": "Dice", "value": round(value, 4), "cases": cases, "command": command} for name, value in rows
    ]
    Card.from_document(document)
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
