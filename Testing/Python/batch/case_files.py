"""The region of one case, the endings of its files, and what lies in a folder."""

from __future__ import annotations

from pathlib import Path

from AttentionSegLib.region import Region

REGION = Region((20, -30, 40), (9, 8, 7))
ENDINGS = {"nrrd": ("segmentation.seg.nrrd", "gate_2.nrrd", "gate_3.nrrd", "overview.png", "uncertainty.nrrd", "report.json")}
ENDINGS["nii"] = tuple(name.replace(".seg.nrrd", ".nii.gz").replace(".nrrd", ".nii.gz") for name in ENDINGS["nrrd"])


def everything_in(folder: Path) -> dict[str, bytes | None]:
    """What lies in a folder, hidden things included."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}
