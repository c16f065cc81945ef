"""The module's self test in the real application. Needs no network connection.

    Slicer --testing --no-splash --additional-module-paths "$PWD/AttentionSeg" --python-script Testing/Slicer/test_in_slicer.py -- PICTURE.png

torch, monai, safetensors and jsonschema must be installed in Slicer's Python. The exit code is 0 when all is well. The picture is optional.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import slicer


def main() -> None:
    # Opening the module puts its folder on Python's path.
    slicer.util.selectModule("AttentionSeg")
    from AttentionSegLib.ui.self_test import press_the_buttons

    press_the_buttons(Path(sys.argv[-1]) if sys.argv[-1].endswith(".png") else None)


if __name__ == "__main__":
    try:
        main()
    except Exception:  # noqa: BLE001 (the application would go on and hide it)
        traceback.print_exc()
        slicer.util.exit(slicer.util.EXIT_FAILURE)
    else:
        slicer.util.exit(slicer.util.EXIT_SUCCESS)
