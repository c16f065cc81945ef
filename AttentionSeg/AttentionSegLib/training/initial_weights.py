"""Initial weights of a training: those of another model, or of a pretrained backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from ..errors import InputError
from ..inference.devices import choose_device
from ..models import Card, load_model
from ..models.card import CARD_NAME
from ..networks import build_network, network_class, published_variant
from ..networks.backbones import ResNetBackbone
from ..networks.contract import Variant
from ..networks.pretrained import WHAT_TO_DO, dimensions, fit, load_pretrained
from ..networks.weights_source import is_url, local_weights, read_weights, sha256_of
from ..planning.fine_tuning import check_same_network
from ..planning.slices import VOLUMES

# Least fraction of the weights that must fit for another model to be a start.
LEAST_SHARE = 0.5
MOST_NAMED = 4


@dataclass(frozen=True)
class InitialWeights:
    """Source of the initial weights of a network; at most one of two, random weights without any.

    Attributes:
        start_from: model folder, whose weights are used if their name and shape fit.
        pretrained: file or URL of weights for the backbone, see `load_pretrained`.
    """

    start_from: Path | None = None
    pretrained: str | None = None

    def check(self, network: str | None, backbone: str | None, slices: str | None = None, device: str | None = None) -> None:
        """Raise InputError for two sources, an unknown backbone, or pretrained weights that can't be used.

        Args:
            network: a key of `NETWORKS`; None if it is not known yet.
            backbone: its name; None if the plan decides on the size of the network.
            slices: what is planned for, see `PlanOptions`; None if the data decide.
            device: on whose kind the sizes depend that can be planned; None if there is a plan.
        """
        self.check_network(network)
        published = None if network is None or backbone is None else published_variant(network, backbone)
        if self.pretrained is None or is_url(self.pretrained):
            return
        weights = read_weights(local_weights(self.pretrained))
        axes = dimensions(weights, self.pretrained)
        if slices is not None and axes != (3 if slices == VOLUMES else 2):
            wanted, seen = ("volumes", "2D images") if slices == VOLUMES else (f"{slices} slices", "volumes")
            msg = f"The weights from {self.pretrained} are for {seen}, and a network for {wanted} was asked for (--slices {slices}); {WHAT_TO_DO}"
            raise InputError(msg)
        if network is not None and published is not None:
            _fit(network, published, weights, self.pretrained)
        elif network is not None and device is not None:
            self._check_planned(network, weights, device)

    def _check_planned(self, network: str, weights: Mapping[str, object], device: str) -> None:
        """Raise InputError if the weights fit none of the sizes of a network that are planned for a device."""
        kind = "cpu" if choose_device(device).type == "cpu" else "gpu"
        found, source = network_class(network), str(self.pretrained)
        if any(_fits(network, variant, weights, source) for variant in found.variants(kind)):
            return
        suited = [name for name, variant in found.backbones.items() if _fits(network, variant, weights, source)]
        ways = f"name the backbone that they are for (--backbone {suited[0]})" if suited else WHAT_TO_DO.rstrip(".")
        msg = f"The weights from {source} fit none of the sizes of the network '{network}' that are planned for this device; {ways}."
        raise InputError(msg)

    def check_network(self, network: str | None) -> None:
        """Raise InputError for two sources, a model of another network, or pretrained weights for a network without a backbone."""
        if self.start_from is not None and self.pretrained is not None:
            msg = f"Both a model to start from ({self.start_from}) and pretrained weights ({self.pretrained}) were given; give one of them."
            raise InputError(msg)
        if self.start_from is not None and network is not None:
            check_same_network(Card.load(self.start_from / CARD_NAME), network)
        if self.pretrained is not None and network is not None and not network_class(network).backbones:
            msg = (
                f"The network '{network}' has no backbone for the pretrained weights {self.pretrained}; leave them out, "
                "or train a network with one, such as guided-attention."
            )
            raise InputError(msg)

    @property
    def lasting(self) -> dict[str, str]:
        """What tells them from other initial weights: the SHA-256 of files, the address of a download; empty for random weights."""
        if self.start_from is not None:
            source = Card.load(self.start_from / CARD_NAME).weights_sha256
        elif self.pretrained is not None:
            source = self.pretrained if is_url(self.pretrained) else sha256_of(local_weights(self.pretrained))
        else:
            return {}
        return {"source of its initial weights (--start-from, --pretrained)": source}


RANDOM = InitialWeights()


def _fit(network: str, variant: Variant, weights: Mapping[str, object], source: str) -> None:
    """Raise InputError unless weights fit the backbone of a network."""
    axes = dimensions(weights, source)
    with torch.device("meta"):
        built = build_network(network, 1, 2, variant.arguments((1,) * axes, (1.0,) * axes))
    fit(cast(ResNetBackbone, built.backbone), weights, source)


def _fits(network: str, variant: Variant, weights: Mapping[str, object], source: str) -> bool:
    try:
        _fit(network, variant, weights, source)
    except InputError:
        return False
    return True


def initialize(network: nn.Module, card: Card, initial: InitialWeights) -> list[str]:
    """Load the initial weights into a network.

    Args:
        network: of the card, with random weights.
        card: of the new model.
        initial: the source of the weights.

    Returns:
        A sentence about the loaded weights, if there is a source.

    Raises:
        InputError: if both sources are given, the network has no backbone for pretrained weights, or the weights cannot be read or do not fit.
    """
    initial.check_network(card.network)
    start_from, pretrained = initial.start_from, initial.pretrained
    if start_from is not None:
        return [take_weights(network, card, start_from)]
    if pretrained is not None:
        return [str(load_pretrained(cast(ResNetBackbone, network.backbone), pretrained))]
    return []


def take_weights(network: nn.Module, card: Card, folder: Path) -> str:
    """Load those weights of a model into a network whose name and shape fit; with other labels, these are all but the last layers.

    Args:
        network: of the card; weights that do not fit are not changed.
        card: of the new model.
        folder: model folder.

    Returns:
        A sentence about the loaded weights.

    Raises:
        InputError: if the model cannot be loaded, has another network, or less than half of the weights fit.
    """
    model = load_model(folder)
    check_same_network(model.card, card.network)
    own, given = network.state_dict(), model.network.state_dict()
    fitting = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    share = sum(own[name].numel() for name in fitting) / sum(value.numel() for value in own.values())
    if share < LEAST_SHARE:
        msg = f"Only {100 * share:.0f} % of the weights of {model.card.id} fit the network; start from a model with the same network arguments."
        raise InputError(msg)
    network.load_state_dict(fitting, strict=False)
    left = [name for name in own if name not in fitting]
    named = f"; {len(left)} start at random ({', '.join(left[:MOST_NAMED])}{', ...' if len(left) > MOST_NAMED else ''})" if left else ""
    return f"Started from {model.card.id} {model.card.version}: {len(fitting)} of {len(own)} tensors taken{named}."
