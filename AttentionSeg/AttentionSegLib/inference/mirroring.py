"""Test-time mirroring: the mean of a network's outputs for a scan and for its mirror image."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from ..errors import InputError
from ..models import Card
from ..networks import NetworkOutput
from ..networks.output import ReturnAttention


class MirroredNetwork(nn.Module):
    """The mean of a network's logits, and of its own uncertainty, over patches and their mirror images. It takes twice as long.

    Attention maps and positions are those of the unmirrored patches: a mean of two maps would match neither.

    Args:
        network: for [B, C, I, J, K].
        card: of its model.

    Raises:
        InputError: if the model was not trained on scans mirrored from left to right.
    """

    def __init__(self, network: nn.Module, card: Card) -> None:
        super().__init__()
        check_mirroring(card)
        self.network = network
        axis, self.channels = card.mirroring
        self.axis = axis + 2

    @property
    def total_stride(self) -> tuple[int, ...]:
        """See `Network`."""
        return self.network.total_stride

    @property
    def attention_strides(self) -> dict[str, tuple[int, ...]]:
        """See `Network`."""
        return self.network.attention_strides

    def forward(self, x: Tensor, return_attention: ReturnAttention = False) -> NetworkOutput:
        """See `Network`."""
        output = self.network(x, return_attention=return_attention or [])
        mirrored = self.network(x.flip(self.axis), return_attention=[])
        logits = (output.logits + mirrored.logits.flip(self.axis)[:, self.channels]) / 2
        if output.uncertainty is None:
            return replace(output, logits=logits)
        return replace(output, logits=logits, uncertainty=(output.uncertainty + mirrored.uncertainty.flip(self.axis)) / 2)


def check_mirroring(card: Card) -> None:
    """Raise InputError unless the model was trained on scans mirrored from left to right."""
    if card.mirroring is None:
        msg = f"The model {card.id} was not trained on scans mirrored from left to right, so it cannot be run with mirroring; leave mirroring out."
        raise InputError(msg)
