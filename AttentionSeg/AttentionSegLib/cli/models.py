"""`attentionseg models`: list, import and export of models."""

from __future__ import annotations

import argparse

from ..errors import InputError


def add_command(commands: argparse._SubParsersAction) -> None:
    models = commands.add_parser("models", help="list, import and export models", description="List the installed models, or import or export one.")
    models.add_argument("action", nargs="?", choices=("import",), metavar="import", help="with --monai and --card: import a model trained with MONAI")
    models.add_argument("--monai", metavar="FILE", help="weights of MONAI's AttentionUnet: a state dict, or a checkpoint with one")
    models.add_argument("--card", metavar="FILE", help="model card for these weights; arguments that follow from their shapes may be left out")
    one = models.add_mutually_exclusive_group()
    one.add_argument("--import", dest="source", metavar="FILE", help="import a model into your model folder: a .zip, or a model folder")
    one.add_argument("--export", nargs=2, metavar=("ID", "FILE"), help="write a model as one .zip, or into a folder; an existing file is replaced")
    models.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..models import export_model, import_model

    if (options.monai is None) != (options.card is None) or (options.action is not None and options.monai is None):
        msg = "To import a model trained with MONAI, give --monai FILE and --card FILE; for a model of this program give --import FILE."
        raise InputError(msg)
    if options.monai is not None:
        _import_monai(options.monai, options.card)
    elif options.source is not None:
        print(import_model(options.source))
    elif options.export is not None:
        print(export_model(*options.export))
    else:
        _print_models()
    return 0


def _import_monai(weights: str, card: str) -> None:
    # Imported here because torch takes seconds to import.
    from ..models.monai_weights import import_monai

    folder, notes = import_monai(weights, card)
    for note in notes:
        print(f"Note: {note}")
    print(folder)


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
