"""The back ends that run a network: torch on any device, or OpenVINO, which is faster on the CPU, where it is installed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from safetensors.torch import save
from torch import nn

from ..errors import InputError
from ..models import Model
from ..networks.contract import AttentionNetwork
from .acceleration import accelerated
from .openvino_network import OpenVinoFailed, openvino_available, openvino_network
from .slices import SliceNetwork

BACKENDS = ("auto", "torch", "openvino")
BACKEND_VARIABLE = "ATTENTIONSEG_BACKEND"


@dataclass(frozen=True, eq=False)
class Backend:
    """A network ready to run over volumes.

    Attributes:
        name: `torch` or `openvino`.
        network: takes volumes, 2D networks included.
        note: the sentence for the user when this is not the back end that was requested.
    """

    name: str
    network: AttentionNetwork
    note: str = ""


def choose_backend(name: str, device: torch.device) -> str:
    """Choose `torch` or `openvino`.

    Args:
        name: one of `BACKENDS`. `auto` follows the environment variable ATTENTIONSEG_BACKEND where it is set, else takes OpenVINO on the CPU where it
            is installed.
        device: where the network will run.

    Raises:
        InputError: for another name, or if OpenVINO is requested where it is not installed or on a device other than the CPU.
    """
    if name == "auto":
        name = os.environ.get(BACKEND_VARIABLE) or "auto"
    if name not in BACKENDS:
        msg = f"There is no back end '{name}'; choose one of {', '.join(BACKENDS)}."
        raise InputError(msg)
    fits = device.type == "cpu" and openvino_available()
    if name == "openvino" and not fits:
        wrong = "is not installed; run pip install openvino" if device.type == "cpu" else f"runs on the device cpu, not on {device}; choose cpu"
        msg = f"OpenVINO {wrong}, or choose the back end torch."
        raise InputError(msg)
    return "openvino" if fits and name != "torch" else "torch"


def prepare_backend(name: str, model: Model, patch: Sequence[int]) -> Backend:
    """Make a network ready to run.

    Args:
        name: `torch` or `openvino`; if OpenVINO cannot run the network, torch is used and the note says so.
        model: its network is not changed.
        patch: voxels of a patch along the working axes.
    """
    axis = model.card.slice_axis
    if name == "torch":
        return Backend(name, _for_volumes(accelerated(model.network), axis))
    pictures = [size for index, size in enumerate(patch) if index != axis]
    try:
        converted = openvino_network(model.network, weights_sha256(model.network), pictures, model.card.in_channels)
    except OpenVinoFailed as error:
        return torch_instead(model, patch, error)
    return Backend(name, _for_volumes(converted, axis))


def torch_instead(model: Model, patch: Sequence[int], error: OpenVinoFailed) -> Backend:
    """The back end torch, with the note that OpenVINO failed."""
    return replace(prepare_backend("torch", model, patch), note=f"{error} Torch was used instead.")


def weights_sha256(network: nn.Module) -> str:
    """SHA-256 of the weights in memory; the checksum in the card is that of the file, and a model may not have one yet."""
    return hashlib.sha256(save({name: value.contiguous() for name, value in network.state_dict().items()})).hexdigest()


def _for_volumes(network: AttentionNetwork, axis: int | None) -> AttentionNetwork:
    return network if axis is None else SliceNetwork(network, axis)
