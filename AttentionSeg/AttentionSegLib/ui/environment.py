"""Report of installed packages, devices, memory and disk, and the user's own models."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import slicer

from ..errors import InputError
from ..models.card import CARD_NAME
from ..models.catalogue import user_folder
from ..revision import version_text
from .imports import gentle_imports
from .installation import installed_version
from .model_list import model_choices
from .translation import tr as _

PACKAGES = ("torch", "monai", "numpy", "safetensors", "jsonschema", "SimpleITK", "openvino", "matplotlib", "lightning")
MINIMUM_SLICER = (5, 6)
NOT_INSTALLED = _("is not installed")


def environment_report(slicer_version: str) -> str:
    """One line per fact: versions, GPU and driver, whether a tiny computation runs on each device, free memory and disk. Takes seconds; any thread.

    Args:
        slicer_version: from `slicer_version_text`, which only the main thread may call.
    """
    lines = [
        f"AttentionSeg {version_text()}, Slicer {slicer_version}, Python {platform.python_version()}",
        platform.platform(),
        *(f"{name} {installed_version(name) or NOT_INSTALLED}" for name in PACKAGES),
        *_gpus(),
        *(_devices() if importlib.util.find_spec("torch") is not None else []),
        _memory(),
        f"model folder {user_folder()}: {_free_disk(user_folder())}",
    ]
    return "\n".join(line for line in lines if line)


def slicer_version() -> tuple[int, int] | None:
    """Major and minor version of the application; None outside of Slicer."""
    app = getattr(slicer, "app", None)
    return None if app is None else (int(app.majorVersion), int(app.minorVersion))


def slicer_version_text() -> str:
    version = slicer_version()
    return "is not running" if version is None else ".".join(map(str, version))


@dataclass(frozen=True)
class UserModel:
    """A model in the user's own folder, its title in the panel, and its size in MB."""

    folder: Path
    title: str
    megabytes: float


def user_models() -> list[UserModel]:
    """The models in the user's own folder, by name."""
    folders = [card.parent for card in sorted(user_folder().glob(f"[!.]*/{CARD_NAME}"))]
    titles = {choice.folder: choice.title for choice in model_choices()}
    # A model may be hidden by one of the same id in a folder that is searched first.
    return [UserModel(folder, titles.get(folder, folder.name), _megabytes(folder)) for folder in folders]


def delete_model(folder: Path) -> None:
    """Delete a model of the user's own folder. Raises InputError for any other folder."""
    if folder not in [model.folder for model in user_models()]:
        msg = _("{folder} is not a model in {parent}; delete it by hand.").format(folder=folder, parent=user_folder())
        raise InputError(msg)
    shutil.rmtree(folder)


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _gpus() -> list[str]:
    """GPUs as reported by nvidia-smi; empty without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,driver_version,memory.free", "--format=csv,noheader"]
    # On Windows a console would appear.
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False, creationflags=hidden)
    return [f"GPU {line} free" for line in done.stdout.splitlines()] if done.returncode == 0 else [f"nvidia-smi: {done.stderr.strip()}"]


def _devices() -> list[str]:
    with gentle_imports():
        from ..inference.devices import available_devices
    import torch

    lines = [f"torch was built for {'CUDA ' + torch.version.cuda if torch.version.cuda else 'the CPU'}"]
    for name in available_devices():
        try:
            works = float(torch.ones(2, 2, device=name).matmul(torch.ones(2, 2, device=name)).sum()) == 8
        except RuntimeError as error:
            lines.append(f"{name}: a tiny computation fails ({str(error).splitlines()[0]}); choose the device cpu, or install torch for this GPU")
        else:
            lines.append(f"{name}: {'works' if works else 'gives wrong numbers'}")
    return lines


def _memory() -> str:
    # Not available on Windows.
    if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return ""
    page = os.sysconf("SC_PAGE_SIZE") / 1e9
    return f"memory {os.sysconf('SC_AVPHYS_PAGES') * page:.1f} of {os.sysconf('SC_PHYS_PAGES') * page:.1f} GB free"


def _free_disk(folder: Path) -> str:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return f"{shutil.disk_usage(there).free / 1e9:.0f} GB free on its disk"
