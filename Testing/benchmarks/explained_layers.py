"""How well explanations locate their label, by layer and method, beside those of the same network with random weights.

python Testing/benchmarks/explained_layers.py --model MODEL --images DIR --labels DIR --split FILE [--first N] [--explain LABEL ...]

Of the validation cases; means over labels and cases, with random weights in brackets (see `attentionseg evaluate --maps` for the measures).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.cli.options import add_label_options, label_reading
from AttentionSegLib.datasets.cases import Case, find_cases
from AttentionSegLib.datasets.label_reading import LabelReading, read_labels
from AttentionSegLib.evaluation.faithfulness import with_random_weights
from AttentionSegLib.evaluation.localization import LabelsOnGrid
from AttentionSegLib.files import read_image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.map_kinds import WHY
from AttentionSegLib.models import Model, find_model, load_model
from AttentionSegLib.options import EXPLAIN_METHODS
from benchmarks.table import machine, markdown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="id or folder of the model")
    parser.add_argument("--images", required=True, type=Path, help="folder of scans")
    parser.add_argument("--labels", required=True, type=Path, help="folder of label maps")
    parser.add_argument("--split", required=True, type=Path, help="CSV file with a validation set (role val)")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N cases (default: all)")
    parser.add_argument("--layers", nargs="+", metavar="NAME", help="layers of the network (default: all that can explain)")
    parser.add_argument("--explain", nargs="+", metavar="LABEL", help="labels to explain (default: all)")
    add_label_options(parser)
    options = parser.parse_args()
    reading = label_reading(options)
    cases = find_cases(options.images, options.labels, options.split, "val")["val"][: options.first]
    model = load_model(find_model(options.model))
    labels = options.explain or [label.name for label in model.card.labels]
    rows = []
    for layer in options.layers or model.network.explained_layers:
        for method in EXPLAIN_METHODS:
            one, other = (localization(each, cases, labels, layer, method, reading) for each in (model, with_random_weights(model, 0)))
            rows.append([layer, method, *(f"{mine:.3f} [{random:.3f}]" for mine, random in zip(one, other))])
            print(rows[-1], file=sys.stderr, flush=True)
    print(markdown(["layer", "method", "ROC AUC", "share of the sum inside"], rows))
    print(f"\n{len(cases)} cases, {len(labels)} labels, on {machine()}.")


def localization(model: Model, cases: list[Case], labels: list[str], layer: str, method: str, reading: LabelReading) -> np.ndarray:
    """ROC AUC and share of the sum inside, means over labels and cases."""
    predictor = Predictor(model, "cpu", "torch", attention=False, explain=labels, explain_layer=layer, explain_method=method)
    values = {label.name: label.value for label in model.card.labels}
    found = []
    for case in cases:
        maps = predictor(read_image(case.images[0])).attention
        reference = read_labels(case.label, reading)[0]
        found += [
            LabelsOnGrid(maps[WHY + name], reference, [values[name]], reading.ignored_label).localization(maps[WHY + name].voxels)[0, :2]
            for name in labels
        ]
    return np.nanmean(found, axis=0)


if __name__ == "__main__":
    main()
