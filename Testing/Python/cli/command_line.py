"""The command `segment` on a scan of noise, and the sentence of one that must fail."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from AttentionSegLib.cli import main
from poses import OBLIQUE, affine_around

CENTER = (-20.0, 30.0, -40.0)
AFFINE = affine_around(CENTER, (18, 16, 14), OBLIQUE, (1, 1, 1))


def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 100, (1, 18, 16, 14))


def segment(*arguments: object) -> int:
    return main(["segment", *map(str, arguments), "--device", "cpu"])


def refused(capfd, output: Path, *arguments: object) -> str:
    """The one line of a command that must fail, without its beginning."""
    assert segment(*arguments, "--output", output) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert not output.exists()
    assert re.fullmatch(r"attentionseg: [^\n]+[;,:] [^\n]+[.?]\n", err)
    return err[len("attentionseg: ") : -1]
