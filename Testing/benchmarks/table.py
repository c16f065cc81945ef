"""What benchmarks print and write: the machine, Markdown tables, and rows of two numbers side by side as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from AttentionSegLib.files import write_text


@dataclass(frozen=True)
class Row:
    """Ours and another, measured in the same run; the less the better.

    Attributes:
        name: what is compared.
        size: of the input, as in `64x64`.
        metric: such as `forward seconds` or `forward peak extra MB`.
    """

    name: str
    size: str
    metric: str
    ours: float
    other: float

    @property
    def ratio(self) -> float | None:
        """other / ours, above 1 where ours is better; None where ours is 0."""
        return ratio(self.ours, self.other)


def ratio(ours: float | None, other: float | None) -> float | None:
    """other / ours; None where one is not there or ours is 0."""
    return other / ours if ours and other is not None else None


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """A JSON list of `{"name", "size", "metric", "ours", "other", "ratio"}`."""
    write_text(path, json.dumps([{**asdict(row), "ratio": row.ratio} for row in rows], indent=2) + "\n")


def markdown(headings: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table; floats with three significant digits, None as a dash."""
    cells = [list(headings), ["---"] * len(headings), *([_cell(value) for value in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def machine() -> str:
    """The processors and versions that measurements depend on, in one line."""
    cpuinfo = Path("/proc/cpuinfo")
    model = cpu_model(cpuinfo.read_text(encoding="utf-8")) if cpuinfo.is_file() else None
    parts = [model or platform.processor() or platform.machine(), f"cores: {os.cpu_count()}", f"threads: {torch.get_num_threads()}"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    packages = [name for name in ("torch", "monai", "openvino") if find_spec(name)]
    return ", ".join([*parts, platform.system(), f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])


def cpu_model(cpuinfo: str) -> str | None:
    """The processor's name in the text of /proc/cpuinfo; None where it has none."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found and found[1].strip()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
