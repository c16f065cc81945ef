"""A network compiled by OpenVINO (an optional dependency), which is faster than torch on the CPU."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..networks.layers import crop
from ..networks.output import NetworkOutput, ReturnAttention, wanted_maps
from ..networks.position_attention import PositionFeatures
from .openvino_cache import keep_entry, openvino_folder, read_entry
from .openvino_graph import KEYS, LOGITS, QUERIES, UNCERTAINTY, compile_graph, conversion_key, convert, from_bytes, to_bytes
from .shared_libraries import preload_openvino

if TYPE_CHECKING:
    import openvino

# Tolerance as a share of the largest value of an output. Sums over a patch round differently (2e-4 after instance norms); errors are much larger.
TOLERANCE, SMALLEST = 1e-2, 1e-6


class OpenVinoFailed(RuntimeError):
    """OpenVINO cannot convert, compile or run this network here. The message is one sentence that says why."""


def openvino_available() -> bool:
    """Whether OpenVINO is installed; it is not imported."""
    return importlib.util.find_spec("openvino") is not None


def openvino_network(network: nn.Module, weights_sha256: str, patch: Sequence[int], in_channels: int, cache: Path | None = None) -> OpenVinoNetwork:
    """The network compiled for this CPU, from the cache or converted now.

    Computes in float32 with as many threads as torch has at this moment. A conversion is compared with the original, on noise, before it is kept.

    Args:
        network: float32, on the CPU; it is put into eval mode.
        weights_sha256: of its weights.
        patch: size of the 2D images or volumes that it will be given.
        in_channels: channels of these.
        cache: folder of converted networks; `openvino_folder()` when left out.

    Raises:
        OpenVinoFailed: if OpenVINO is missing, cannot convert or compile the network, or gives other numbers.
    """
    failures = _load_openvino()
    shape = (1, in_channels, *patch)
    cache = cache or openvino_folder()
    expected: dict[str, Tensor] = {}
    network.eval()
    try:
        key = conversion_key(network, weights_sha256, shape)
        kept = read_entry(cache, key)
        if kept is None:
            model, example, expected = convert(network, shape)
            kept = to_bytes(model)
        result = OpenVinoNetwork(network, compile_graph(from_bytes(kept)))
    except failures as error:
        raise OpenVinoFailed(_sentence("OpenVINO cannot run this network", error)) from error
    if expected:
        found = result.outputs(example, expected)
        wrong = [name for name, values in expected.items() if not _alike(found[name], values)]
        if wrong:
            msg = f"OpenVINO gives other {wrong[0]} than PyTorch for this network on this computer."
            raise OpenVinoFailed(msg)
        keep_entry(cache, key, kept)
    return result


class OpenVinoNetwork:
    """A compiled network with the interface of the original, in eval mode, on the CPU; all public attributes are the original's.

    Attention received is computed here, from queries and keys: inside the graph it would take minutes to convert, and run no faster.
    Every other map is an intermediate result of the logits, so one graph serves all requests.

    Args:
        network: the original.
        compiled: outputs `logits`, `uncertainty` if there is one, and by name the maps or their `queries/` and `keys/`; for a batch of 1.
    """

    def __init__(self, network: nn.Module, compiled: openvino.CompiledModel) -> None:
        self._network, self._request, self._lock = network, compiled.create_infer_request(), Lock()
        self._shape = tuple(compiled.input(0).shape)
        self._names = {name for output in compiled.outputs for name in output.names}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(self._network, name)

    def __call__(self, x: Tensor, return_attention: ReturnAttention = False) -> Tensor | NetworkOutput:
        """As the original, without `side_logits`.

        Args:
            x: [B, in_channels, *patch] of the patch that the network was made for.
            return_attention: False for logits alone; True for all maps as well, or the names of some.

        Raises:
            ValueError: if a map has another name or x another shape.
            OpenVinoFailed: if the run fails.
        """
        if tuple(x.shape[1:]) != self._shape[1:]:
            msg = f"The input is {list(x.shape)}; this network was converted for {['B', *self._shape[1:]]}."
            raise ValueError(msg)
        if return_attention is False:
            return self.outputs(x, [LOGITS])[LOGITS]
        wanted = wanted_maps(return_attention, self.attention_strides)
        by_position = [name for name in wanted if name not in self._names]
        needed = {LOGITS, UNCERTAINTY, *wanted, *(f"{part}/{name}" for name in by_position for part in (QUERIES, KEYS))} & self._names
        found = self.outputs(x, needed)
        positions = {name: _features(found[f"{QUERIES}/{name}"], found[f"{KEYS}/{name}"]) for name in by_position}
        attention = {name: self._received(name, positions[name]) if name in positions else found[name] for name in wanted}
        return NetworkOutput(found[LOGITS], attention, uncertainty=found.get(UNCERTAINTY), positions=positions)

    def outputs(self, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """Outputs of the graph by name, for a batch of any size. OpenVinoFailed if the run fails."""
        images = x.detach().to("cpu", torch.float32).contiguous().split(1)
        found = [self._infer(image, names) for image in images]
        return {name: torch.cat([one[name] for one in found]) for name in names}

    def _infer(self, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        with self._lock:
            try:
                results = self._request.infer([x.numpy()], share_inputs=True, share_outputs=True)
            except (RuntimeError, MemoryError) as error:
                raise OpenVinoFailed(_sentence("OpenVINO stopped while the network ran", error)) from error
            # A copy, because the next run writes into the same memory.
            return {name: torch.from_numpy(results[name].copy()) for name in names}

    def _received(self, name: str, features: PositionFeatures) -> Tensor:
        grid = [-(-size // stride) for size, stride in zip(self._shape[2:], self.attention_strides[name])]
        return crop(features.received(), grid)


def _features(queries: Tensor, keys: Tensor) -> PositionFeatures:
    return PositionFeatures(queries.flatten(1, -2), keys.flatten(1, -2), tuple(keys.shape[1:-1]))


def _alike(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max() + SMALLEST)


def _load_openvino() -> tuple[type[Exception], ...]:
    """Import OpenVINO and return the types of exceptions that mean that it cannot run a network. Raises OpenVinoFailed if it cannot be imported."""
    # Its telemetry reports every import to Google Analytics unless the user has opted out; OpenVINO works without that package.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    preload_openvino()
    try:
        from openvino import frontend
    except (ImportError, OSError) as error:
        raise OpenVinoFailed(_sentence("OpenVINO cannot be loaded", error)) from error
    own = ("GeneralFailure", "InitializationFailure", "NotImplementedFailure", "OpConversionFailure", "OpValidationFailure")
    others = (RuntimeError, MemoryError, OSError, TypeError, ValueError, LookupError, AttributeError, AssertionError)
    return (*(getattr(frontend, name) for name in own), *others)


def _sentence(what: str, error: Exception) -> str:
    """One sentence with the last line of an error: OpenVINO puts the reason there, after positions in its source."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    return f"{what} ({next((line for line in reversed(lines) if line), type(error).__name__)})."
