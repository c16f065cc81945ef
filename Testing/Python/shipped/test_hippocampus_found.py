"""The shipped hippocampus models find both hippocampi of a head, and refuse other scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from AttentionSegLib.image import Image
from AttentionSegLib.inference import find_regions

MODEL = "hippocampus-mr-attention-unet"
HEADS = ("IXI012", "IXI013", "IXI014", "IXI015", "IXI033", "IXI034", "IXI039", "IXI048", "IXI049", "IXI051")
# FreeSurfer's numbers.
HIPPOCAMPI = {"right": 53, "left": 17}
# Two are enough from day to day.
FEW = (*HEADS[1:3], *(pytest.param(name, marks=pytest.mark.slow) for name in (HEADS[0], *HEADS[3:])))
OTHERS = (
    "robustness/mr_trunk_3mm_LPS.nii.gz",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "robustness/ct_head_avm_uint8_scaled.nii.gz",
            "robustness/ct_trunk_3mm_RAS.nii.gz",
            "robustness/prostate_phantom_subvolume.nrrd",
            "hn_ct_oar/images/pt_1.nii.gz",
            "hn_ct_oar/images/pt_140.nii.gz",
        )
    ),
)


def existing(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(f"no scan at {path}")
    return path


@pytest.mark.parametrize("name", FEW)
def test_both_hippocampi_of_a_head(data_folder, name):
    folder = data_folder / "brain_heads"
    image, labels = (read_image(existing(folder / kind / f"{name}.nii.gz")) for kind in ("images", "labels"))
    found = find_regions(MODEL, image)
    assert list(found.regions) == ["right", "left"]
    for side, value in HIPPOCAMPI.items():
        places = labels.to_ras(np.argwhere(labels.voxels[0] == value))
        assert np.linalg.norm(found.regions[side].center - (places.min(0) + places.max(0)) / 2) < 5


@pytest.mark.parametrize("name", OTHERS)
def test_a_scan_of_something_else_is_refused(data_folder, name):
    with pytest.raises(InputError, match="does not look like the MNI152"):
        find_regions(MODEL, read_image(existing(data_folder / name)))


@pytest.mark.slow
def test_a_crop_in_a_dark_field_is_refused(data_folder):
    image = read_image(existing(data_folder / "hippocampus" / "images" / "hippocampus_001.nii.gz"))
    padded = Image(np.pad(image.voxels, ((0, 0), *[(45, 45)] * 3)), image.affine, image.name)
    with pytest.raises(InputError, match="does not look like the MNI152"):
        find_regions(MODEL, padded)
