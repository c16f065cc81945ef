"""Trained models on disk: cards, weights and the catalogue that finds them."""

from .archive import export_model, import_model
from .card import Card
from .catalogue import Entry, find_model, list_models, user_folder
from .channels import Channel
from .sides import card_of_sides
from .terms import Code, Label

__all__ = [
    "Card",
    "Channel",
    "Code",
    "Entry",
    "Label",
    "Model",
    "card_of_sides",
    "export_model",
    "find_model",
    "import_model",
    "list_models",
    "load_model",
    "save_model",
    "user_folder",
]


def __getattr__(name: str) -> object:
    # Weights need torch, which takes seconds to import; cards and the catalogue do not.
    if name in ("Model", "load_model", "save_model"):
        from . import weights

        return getattr(weights, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
