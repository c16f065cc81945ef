"""Every way in which a command can end, and the exit code of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib import cli, errors
from AttentionSegLib.files import write_map
from AttentionSegLib.files.nifti_header import make_header
from AttentionSegLib.image import Image
from tiny_models import save_unet

UINT8 = 2
FAMILY = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.AttentionSegError)]


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> dict[str, tuple[int, str]]:
    if not sys.platform.startswith("linux"):
        pytest.skip("memory can be limited on Linux only")
    folder = tmp_path_factory.mktemp("limited")
    save_unet(folder / "models" / "tiny", id="tiny-unet")
    scans = [folder / "head.nii.gz", sparse_scan(folder / "large.nii", 400), sparse_scan(folder / "larger.nii", 800)]
    write_map(Image(np.random.default_rng(0).uniform(0, 100, (1, 18, 16, 14)), np.eye(4)), scans[0])
    package = Path(cli.__file__).parents[2]
    environment = {**os.environ, "ATTENTIONSEG_MODELS": str(folder / "models"), "PYTHONPATH": str(package)}
    command = [sys.executable, str(Path(__file__).with_name("limited_runs.py")), *map(str, scans), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not (folder / "new").exists(), "a run that fails leaves no folder behind"
    return json.loads(done.stdout)


def sparse_scan(path: Path, size: int) -> Path:
    """size^3 voxels of one byte that take no room on the disk: all 0 but the first."""
    header = make_header((size, size, size), UINT8, 8, np.eye(4)).tobytes()
    with open(path, "wb") as file:
        file.write(header + bytes(4) + b"\x01")
        file.truncate(len(header) + 4 + size**3)
    return path


@pytest.mark.parametrize(
    ("case", "code", "sentence"),
    [
        ("done", 0, ""),
        ("bad input", 2, "There is no model 'none'"),
        ("full disk", 1, r"\S+/new/head_\w+\.\S+ cannot be written \(File too large\); "),
        ("memory, reading", 1, r"There is not enough memory for \S+/larger\.nii; "),
        ("memory, computing", 1, r"There is not enough memory .*; close other programs"),
        ("interrupted", 130, "interrupted, nothing was written"),
        ("interrupted afterwards", 130, "interrupted after the results were written"),
        ("told to end", 130, "interrupted, nothing was written"),
        ("terminal closed", 130, "interrupted, nothing was written"),
    ],
)
def test_a_command_ends_with_its_code_and_one_sentence(ended, case, code, sentence):
    found, said = ended[case]
    assert found == code
    if code:
        assert re.match(f"attentionseg: {sentence}", said.splitlines()[-1])
        assert ".attentionseg-" not in said


@pytest.mark.parametrize("command", [[], ["segment"], ["batch"], ["evaluate"]])
def test_the_help_tells_every_code(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([*command, "--help"])
    told = {int(code) for code in re.findall(r"(?<![\w.])\d+(?=\s+(?:when|for)\b)", capsys.readouterr().out.split("Exit code:")[1])}
    assert told == {0, 3, *(one.exit_code for one in FAMILY)}
