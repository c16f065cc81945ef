"""Files of pretrained weights: download and check of a path or URL, and reading of the tensors without running code."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from pathlib import Path, PureWindowsPath
from typing import Optional
from urllib.error import URLError
from urllib.request import Request, urlopen

import torch
from safetensors.torch import load_file

from ..errors import InputError
from ..progress import Cancel, check_cancel
from ..user_folders import cache_folder
from ..writing import atomic_path, writing

# bytes done, bytes in total (None if the server does not state it)
OnBytes = Callable[[int, Optional[int]], None]

ENDINGS = (".safetensors", ".pth", ".pt", ".bin")
BLOCK = 2**20
RIGHT_KIND = "give a .safetensors file, or one made by torch.save(model.state_dict(), path)."


def local_weights(
    source: str | os.PathLike,
    sha256: str | None = None,
    folder: Path | None = None,
    on_progress: OnBytes | None = None,
    cancel: Cancel | None = None,
    timeout: float = 30.0,
) -> Path:
    """The local file of pretrained weights, checked. A URL is downloaded, unless the cache has the file with the right SHA-256.

    Args:
        source: path, or http(s) URL, of a .safetensors, .pth, .pt or .bin file.
        sha256: of the file, in 64 hexadecimal digits or the first 8 or more of them. Optional for a path; for a URL optional if the file's name
            ends in them (`resnet18-f37072fd.pth`). All 64 detect a forged file, 8 only a damaged one.
        folder: for downloads, the folder `pretrained` of the cache if None; created if needed.
        on_progress: called after every MiB of a download.
        cancel: called before every MiB of a download, which ends if this returns True.
        timeout: seconds without data from the server.

    Raises:
        InputError: if there is no such file, its type or SHA-256 differs, or it cannot be downloaded; no part of it is kept then.
        OutputError: if the download cannot be stored.
        Cancelled: if `cancel` returned True.
    """
    downloaded = is_url(source)
    # Only the last part, on every system: the file must not be outside of the folder.
    name = PureWindowsPath(re.split("[?#]", str(source))[0]).name if downloaded else Path(source).name
    if not name.lower().endswith(ENDINGS):
        msg = f"The weights {source} are of no known kind; give a file with a name that ends in {', '.join(ENDINGS)}."
        raise InputError(msg)
    if downloaded and sha256 is None:
        in_name = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
        sha256 = in_name[1] if in_name else ""
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{8,64}", sha256):
        msg = f"The weights {source} need their SHA-256, not '{sha256}'; give its 64 hexadecimal digits, or at least the first 8."
        raise InputError(msg)

    path = Path(folder or cache_folder() / "pretrained") / f"{(sha256 or '')[:8].lower()}-{name}" if downloaded else Path(source).expanduser()
    exists = path.is_file()
    if exists and (sha256 is None or _has_hash(path, sha256)):
        return path
    if not downloaded:
        wrong = f"have a SHA-256 that does not begin with {sha256}" if exists else "are not there"
        msg = f"The weights {path} {wrong}; give the path of the right file, or train from scratch."
        raise InputError(msg)
    _download(str(source), path, sha256 or "", on_progress, cancel, timeout)
    return path


def read_weights(path: Path) -> Mapping[str, object]:
    """Read the content of a file of weights, on the CPU. No code in it is run.

    Args:
        path: .safetensors, or another file in which `torch.save` stored a dictionary of tensors, numbers and text.

    Raises:
        InputError: if it is not one of these, or cannot be read.
    """
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        # Before version 2.6, torch runs code from its oldest format, a tar archive, in spite of `weights_only`.
        with warnings.catch_warnings():
            # Of a pickle that torch did not write; if it cannot be read, the message below says so.
            warnings.simplefilter("ignore")
            content = None if tarfile.is_tarfile(path) else torch.load(path, map_location="cpu", weights_only=True)
    # A damaged pickle can raise anything.
    except Exception as error:
        msg = f"The weights {path} cannot be read: they are damaged, of another kind, or would run code when opened; {RIGHT_KIND}"
        raise InputError(msg) from error
    if not isinstance(content, Mapping):
        msg = f"The weights {path} are not a dictionary of tensors; {RIGHT_KIND}"
        raise InputError(msg)
    return content


def is_url(source: str | os.PathLike) -> bool:
    """Whether weights are downloaded."""
    return str(source).lower().startswith(("http://", "https://"))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits. Raises InputError if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            for block in iter(lambda: stream.read(BLOCK), b""):
                digest.update(block)
    except OSError as error:
        msg = f"The weights {path} cannot be read ({error.strerror}); check the disk and the permissions."
        raise InputError(msg) from error
    return digest.hexdigest()


def _has_hash(path: Path, sha256: str) -> bool:
    return sha256_of(path).startswith(sha256.lower())


def _download(url: str, path: Path, sha256: str, on_progress: OnBytes | None, cancel: Cancel | None, timeout: float) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        with temporary.open("wb") as stream:
            for block in _blocks(url, on_progress, cancel, timeout):
                stream.write(block)
        if not _has_hash(temporary, sha256):
            raise _not_downloaded(url, f"the SHA-256 of the received file does not begin with {sha256}")


def _blocks(url: str, on_progress: OnBytes | None, cancel: Cancel | None, timeout: float) -> Iterator[bytes]:
    """The data from the server, in blocks. Raises InputError if the download fails or is incomplete."""
    try:
        with urlopen(Request(url, headers={"User-Agent": "AttentionSeg"}), timeout=timeout) as response:
            total, done = response.length, 0
            while True:
                check_cancel(cancel, f"download of {url}")
                block = response.read(BLOCK)
                if not block:
                    break
                yield block
                done += len(block)
                if on_progress is not None:
                    on_progress(done, total)
    except (OSError, HTTPException, ValueError, OverflowError) as error:
        raise _not_downloaded(url, error.reason if type(error) is URLError else error) from error
    if total is not None and done < total:
        raise _not_downloaded(url, f"the connection broke off after {done} of {total} bytes")


def _not_downloaded(url: str, reason: object) -> InputError:
    return InputError(f"The weights {url} cannot be downloaded ({reason}); get the file by hand and give its path, or train from scratch.")
