"""`attentionseg models`: what is installed."""

from __future__ import annotations

import argparse


def add_command(commands: argparse._SubParsersAction) -> None:
    models = commands.add_parser("models", help="list the installed models")
    models.set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    from ..models import list_models, user_folder

    entries = list_models()
    for entry in entries:
        if entry.card is None:
            print(f"{entry.id}\n    cannot be used: {entry.problem}")
            continue
        card = entry.card
        inputs = ", ".join(f"{channel.name} ({channel.modality})" for channel in card.inputs)
        region = f", region of about {' x '.join(f'{s:g}' for s in card.region_size)} mm" if card.region_size else ""
        print(f"{card.id} {card.version}\n    {card.title}\n    needs {inputs}{region}")
        print(f"    labels: {'; '.join(label.name for label in card.labels)}\n    weights: {card.weights_license}\n    {entry.folder}")
    if not entries:
        print(f"No models are installed; put model folders into {user_folder()}.")
    return 0
