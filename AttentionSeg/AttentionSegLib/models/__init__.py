"""Trained models on disk: cards, weights, archives, and the catalogue of installed models."""

from typing import TYPE_CHECKING

from .archive import export_model, import_model
from .card import Card
from .catalogue import ListedModel, find_model, list_models, user_folder
from .channels import Channel
from .sides import card_of_sides
from .terms import Code, Label

if TYPE_CHECKING:
    from .weights import Model, load_model, save_model

__all__ = [
    "Card",
    "Channel",
    "Code",
    "Label",
    "ListedModel",
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
    # Loaded on demand, because weights need torch, which takes seconds to import.
    if name in ("Model", "load_model", "save_model"):
        from . import weights

        return getattr(weights, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
