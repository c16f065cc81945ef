"""A batch to be killed: `python killed_batch.py SOURCE OUTPUT MODEL`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "AttentionSeg"))

from AttentionSegLib.batch import segment_folder

source, output, model = sys.argv[1:]
segment_folder(source, output, model, attention=False, device="cpu", backend="torch")
