"""Test-time mirroring: the mean of a network's outputs for a scan and for its mirror image."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from ..errors import InputError
from ..models import Card
from ..networks import NetworkOutput
from ..networks.contract import AttentionNetwork, with_maps
from ..networks.output import ReturnAttention, wanted_maps


class MirroredNetwork(nn.Module):
    """The mean of a network's logits, and of its own uncertainty, over patches and their mirror images. It takes twice as long.

    Attention maps and positions are those of the unmirrored patches: a mean of two maps would match neither.

    Args:
        network: for [B, C, I, J, K].
        card: of its model.

    Raises:
        InputError: if the model was not trained on scans mirrored from left to right.
    """

    def __init__(self, network: AttentionNetwork, card: Card) -> None:
        super().__init__()
        self.network = network
        axis, self.channels = check_mirroring(card)
        self.axis = axis + 2

    @property
    def total_stride(self) -> tuple[int, ...]:
        """See `Network`."""
        return self.network.total_stride

    @property
    def attention_strides(self) -> dict[str, tuple[int, ...]]:
        """See `Network`."""
        return self.network.attention_strides

    @property
    def maps_scaled_per_volume(self) -> frozenset[str]:
        """See `Network`."""
        return self.network.maps_scaled_per_volume

    def forward(self, x: Tensor, return_attention: ReturnAttention = False) -> NetworkOutput:
        """See `Network`."""
        output = with_maps(self.network, x, wanted_maps(return_attention, self.attention_strides))
        mirrored = with_maps(self.network, x.flip(self.axis), [])
        logits = (output.logits + mirrored.logits.flip(self.axis)[:, self.channels]) / 2
        if output.uncertainty is None or mirrored.uncertainty is None:
            return replace(output, logits=logits)
        return replace(output, logits=logits, uncertainty=(output.uncertainty + mirrored.uncertainty.flip(self.axis)) / 2)


def check_mirroring(card: Card) -> tuple[int, list[int]]:
    """See `Card.mirroring`. Raises InputError unless the model was trained on scans mirrored from left to right."""
    mirroring = card.mirroring
    if mirroring is None:
        msg = f"The model {card.id} was not trained on scans mirrored from left to right, so it cannot be run with mirroring; leave mirroring out."
        raise InputError(msg)
    return mirroring
