"""The graph of a network in OpenVINO: conversion, serialization, compilation."""

from __future__ import annotations

import hashlib
import platform
import tempfile
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .. import __version__, networks
from ..networks.output import NetworkOutput

if TYPE_CHECKING:
    import openvino

# Outputs of a graph; those of the last two are followed by a slash and the name of a map.
LOGITS, UNCERTAINTY, QUERIES, KEYS = "logits", "uncertainty", "queries", "keys"
LENGTH_BYTES = 8


class _Flat(nn.Module):
    """A network as a function from one tensor to several, which can be traced. `tensors` holds those of the last call by name."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        output: NetworkOutput = self.network(x, return_attention=True)
        tensors = {LOGITS: output.logits}
        if output.uncertainty is not None:
            tensors[UNCERTAINTY] = output.uncertainty
        tensors.update({name: values for name, values in output.attention.items() if name not in output.positions})
        for name, features in output.positions.items():
            # The shape of the output gives the grid when the graph is read back.
            tensors[f"{QUERIES}/{name}"] = features.queries.unflatten(1, features.size)
            tensors[f"{KEYS}/{name}"] = features.keys.unflatten(1, features.size)
        self.tensors = tensors
        return tuple(tensors.values())


def convert(network: nn.Module, shape: Sequence[int]) -> tuple[openvino.Model, Tensor, dict[str, Tensor]]:
    """Convert a network to a graph with named outputs; also return an input and the network's outputs for it."""
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
    from openvino.passes import ConstantFolding, Manager

    flat = _Flat(network).eval()
    example = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), warnings.catch_warnings():
        # Sizes are fixed, so the trace may treat them as constants.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        # Freezing leaves OpenVINO half as many operations to convert.
        traced = torch.jit.freeze(torch.jit.trace(flat, example, check_trace=False))
    # openvino.convert_model would also rewrite the graph, and does so wrongly: in 2026.4 channel attention of padded volumes comes out wrong.
    frontend = FrontEndManager().load_by_framework("pytorch")
    # Assigned to a variable because it has to exist until the conversion ends.
    decoder = TorchScriptPythonDecoder(traced, example_input=example)
    loaded = frontend.load(decoder)
    (entering,) = loaded.get_inputs()
    loaded.set_element_type(entering, openvino.Type.f32)
    loaded.set_partial_shape(entering, openvino.PartialShape(list(shape)))
    model = frontend.convert(loaded)
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)
    for output, name in zip(model.outputs, flat.tensors):
        output.get_tensor().set_names({name})
    return model, example, flat.tensors


def compile_graph(model: openvino.Model) -> openvino.CompiledModel:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Pinned threads of several processes would share the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    return openvino.Core().compile_model(model, "CPU", settings)


def conversion_key(network: nn.Module, weights_sha256: str, shape: Sequence[int]) -> str:
    """A key of everything that a conversion depends on, the type of CPU included, because a conversion is checked on one only."""
    import openvino

    core = openvino.Core()
    cpu = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    machine = [platform.system(), platform.machine(), *cpu, torch.backends.cpu.get_cpu_capability()]
    versions = [openvino.__version__, torch.__version__, version("monai")]
    # The same weights fit networks of different strides, and the code of a network may change.
    text = repr([weights_sha256, shape, machine, versions, __version__, network])
    digest = hashlib.sha256(text.encode())
    for source in sorted(Path(networks.__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def to_bytes(model: openvino.Model) -> bytes:
    """OpenVINO's own format, its two files one after the other."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        graph, weights = path.read_bytes(), path.with_suffix(".bin").read_bytes()
    return len(graph).to_bytes(LENGTH_BYTES, "little") + graph + weights


def from_bytes(content: bytes) -> openvino.Model:
    import openvino

    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    return openvino.Core().read_model(content[LENGTH_BYTES:end], content[end:])
