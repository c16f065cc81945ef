"""The MNI152 T1 head of the package nilearn, and the template that ships with the hippocampus models, made of it:

python Testing/mni152.py mni152_t1_2mm.nii.gz
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "AttentionSeg"))

from AttentionSegLib.files.nifti import write_nifti
from AttentionSegLib.image import Image
from AttentionSegLib.models import Card
from AttentionSegLib.region import Region


def mni152_head(spacing: int = 1) -> Image:
    """The template at so many mm, without skull, intensities 0 to 1 (nothing is downloaded)."""
    from nilearn.datasets import load_mni152_template

    template = load_mni152_template(resolution=spacing)
    return Image(np.asarray(template.dataobj, dtype=np.float32)[None], template.affine, "MNI152 T1")


def regions_in_head(card: Card) -> dict[str, Region]:
    """The regions of a model whose template is this head, by their names."""
    return {region.name: Region(region.center, card.region_size) for region in card.found_by.regions}


def write_template(path: Path) -> None:
    head = mni152_head(2)
    write_nifti(path, np.round(255 * np.clip(head.voxels[0], 0, 1)).astype(np.uint8), head.affine)


if __name__ == "__main__":
    write_template(Path(sys.argv[1]))
