"""`attentionseg models`: what is installed, and how a model comes and goes as one file."""

from __future__ import annotations

import argparse


def add_command(commands: argparse._SubParsersAction) -> None:
    models = commands.add_parser("models", help="list, import and export models", description="List the installed models, or take one in or out.")
    one = models.add_mutually_exclusive_group()
    one.add_argument("--import", dest="source", metavar="FILE", help="take a model into your model folder: a .zip, or a model folder")
    one.add_argument("--export", nargs=2, metavar=("ID", "FILE"), help="write a model as one .zip; an existing file is replaced")
    models.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..models import export_model, import_model

    if options.source is not None:
        print(import_model(options.source))
    elif options.export is not None:
        print(export_model(*options.export))
    else:
        _print_models()
    return 0


def _print_models() -> None:
    from ..models import list_models, user_folder

    entries = list_models()
    for entry in entries:
        if entry.card is None:
            print(f"{entry.id}\n    cannot be used: {entry.problem}")
            continue
        card = entry.card
        inputs = ", ".join(f"{channel.name} ({channel.modality})" for channel in card.scans)
        region = f", region of about {' x '.join(f'{s:g}' for s in card.region_size)} mm" if card.region_size else ""
        if card.found_by is not None:
            region += f" (found in larger scans: {', '.join(one.name for one in card.found_by.regions)})"
        print(f"{card.id} {card.version}\n    {card.title}\n    needs {inputs}{region}")
        print(f"    labels: {'; '.join(label.name for label in card.labels)}\n    weights: {card.weights_license}\n    {entry.folder}")
    if not entries:
        print(f"No models are installed; put model folders into {user_folder()}.")
