"""Installation into Slicer of Python packages that are missing or too old."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Container
from pathlib import Path
from subprocess import CalledProcessError
from typing import Optional

import slicer
from packaging.requirements import Requirement

from ..errors import InputError
from .translation import tr as _

TORCH_REQUIREMENT = "torch>=2.1"
SIZE = {"torch": "0.2 to 3 GB", "monai": "10 MB", "safetensors": "1 MB", "jsonschema": "1 MB", "matplotlib": "10 MB", "lightning": "10 MB"}
LAST_LINES = 8

OnLine = Callable[[str], None]
OnEnd = Callable[[Optional[Exception]], None]


class Installation:
    """Installs packages that are missing or older than required, without changing any other.

    Args:
        requirements: files with one requirement per line, besides torch, which the extension PyTorch installs.
    """

    def __init__(self, *requirements: Path) -> None:
        lines = [TORCH_REQUIREMENT, *(line for path in requirements for line in path.read_text(encoding="utf-8").split())]
        self._requirements = {requirement.name: requirement for requirement in map(Requirement, lines)}
        self._good: set[str] = set()

    @property
    def packages(self) -> list[str]:
        """The required packages, by import name."""
        return list(self._requirements)

    def missing(self) -> list[str]:
        """The required packages that are not installed or too old, by import name."""
        # A version takes up to 10 ms to read, so one that was good is not read again.
        found = [name for name in self.packages if importlib.util.find_spec(name) is not None]
        self._good = {name for name in found if name in self._good or not self._too_old(name)}
        return [name for name in self.packages if name not in self._good]

    def _too_old(self, name: str) -> str | None:
        """The installed version if it is not one of those required."""
        version = installed_version(name)
        # Without `prereleases`, a development version that is newer than required would be refused.
        good = version is None or self._requirements[name].specifier.contains(version, prereleases=True)
        return None if good else version

    def question(self, missing: list[str]) -> str:
        """The question to the user: what will be installed, its size, and where."""
        old = {name: self._too_old(name) for name in missing}
        sizes = ", ".join(
            _("{name} ({size}, replaces {version})").format(name=name, size=SIZE[name], version=old[name]) if old[name] else f"{name} ({SIZE[name]})"
            for name in missing
        )
        return _(
            "AttentionSeg needs Python packages that are not installed yet or are too old: {sizes}. They are downloaded into Slicer's own Python in "
            "{folder}; no other package that is installed there is changed. Install them now?"
        ).format(sizes=sizes, folder=sys.prefix)

    def install(self, on_line: OnLine, on_end: OnEnd) -> None:
        """Install the missing packages. Main thread only. `on_line` is called with each line of output, `on_end` with the error or None."""
        missing = self.missing()
        replaced = [name for name in missing if name in sys.modules and self._too_old(name)]

        def end(error: Exception | None) -> None:
            on_end(_restart(replaced) if error is None and replaced else error)

        try:
            if "torch" in missing:
                on_line(_("Installing torch; its output is in the Python console ..."))
                _install_torch()
            rest = [name for name in missing if name != "torch"]
        except Exception as error:  # noqa: BLE001 (handed on, not swallowed)
            end(error)
            return
        if rest:
            self._install_rest(rest, on_line, end)
        else:
            end(None)

    def _install_rest(self, names: list[str], on_line: OnLine, on_end: OnEnd) -> None:
        lines: deque[str] = deque(maxlen=LAST_LINES)
        folder = tempfile.TemporaryDirectory()
        constraints = Path(folder.name) / "constraints.txt"
        constraints.write_text("\n".join(installed_versions(besides=names)), encoding="utf-8")
        wanted = [str(self._requirements[name]) for name in names]

        def note(line: str) -> None:
            lines.append(line)
            on_line(line)

        def end(code: int) -> None:
            folder.cleanup()
            importlib.invalidate_caches()
            on_end(None if code == 0 else _failed("\n".join(lines)))

        try:
            packaging = importlib.import_module("slicer.packaging")
        except ImportError:
            self._install_blocking(wanted, constraints, end, on_end)
            return
        try:
            packaging.pip_install(
                wanted,
                constraints=str(constraints),
                blocking=False,
                show_progress=False,
                requester="AttentionSeg",
                logCallback=note,
                completedCallback=end,
            )
        except (RuntimeError, CalledProcessError) as error:
            # For example, because another installation is running.
            on_end(_failed(str(error)))
            return
        # Started with --testing, Slicer installs before it returns, and does not call completedCallback.
        if getattr(slicer, "app", None) is not None and slicer.app.testingEnabled():
            end(0)

    def _install_blocking(self, wanted: list[str], constraints: Path, end: Callable[[int], None], on_end: OnEnd) -> None:
        """Install in Slicer up to 5.10, where output appears in the Python console only."""
        try:
            slicer.util.pip_install([*wanted, "-c", str(constraints)])
        except Exception as error:  # noqa: BLE001 (handed on, not swallowed)
            on_end(_failed(str(error)))
            return
        end(0)


def installed_version(name: str) -> str | None:
    """The version of a package by its metadata; None without them."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def installed_versions(besides: Container[str] = ()) -> list[str]:
    """A constraints list that pins every installed package to its version, besides those that are to be replaced."""
    found = {(entry.metadata["Name"], entry.version) for entry in importlib.metadata.distributions()}
    return sorted(f"{name}=={version}" for name, version in found if name and version and name not in besides)


def _install_torch() -> None:
    try:
        utilities = importlib.import_module("PyTorchUtils")
    except ImportError as error:
        msg = _("The extension PyTorch is not installed; install it in the Extensions Manager, restart Slicer and press Segment again.")
        raise InputError(msg) from error
    if utilities.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=TORCH_REQUIREMENT.replace("torch", "")) is None:
        msg = _("torch was not installed; open the module PyTorch Utils, install it there, and press Segment again.")
        raise InputError(msg)


def _restart(replaced: list[str]) -> InputError:
    return InputError(
        _("The installation succeeded, but the old version of {names} is still loaded; restart Slicer and press Segment again.").format(
            names=", ".join(replaced)
        )
    )


def _failed(last_lines: str) -> InputError:
    return InputError(
        _("The installation failed. Check the network and the free disk space, restart Slicer and press Segment again. Last output: {lines}").format(
            lines=last_lines
        )
    )
