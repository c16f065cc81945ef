"""A batch to be killed: `python killed_batch.py SOURCE OUTPUT MODEL`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "AttentionSeg"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pytest
from AttentionSegLib.batch import segment_folder
from blank_pictures import leave_pictures_blank

leave_pictures_blank(pytest.MonkeyPatch())
source, output, model = sys.argv[1:]
segment_folder(source, output, model, attention=False, device="cpu", backend="torch")
