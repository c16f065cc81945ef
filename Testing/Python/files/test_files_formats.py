"""One table of formats: what it names is read, under every ending and in any case, by whoever reads files."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image, scan_stem
from AttentionSegLib.files.formats import ENDINGS, FORMATS, PICTURES, described, ending_of, format_of
from AttentionSegLib.files.nifti import write_nifti
from PIL import Image as Pillow

VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_read_in_any_case(tmp_path, ending):
    path, voxels = tmp_path / f"scan{ending}", VOXELS
    if ending in PICTURES.endings:
        # Flat, so that JPEG keeps it.
        voxels = np.full((16, 8, 1), 77, np.uint8)
        Pillow.fromarray(voxels[..., 0].T).save(path)
    elif ending.startswith(".nii"):
        write_nifti(tmp_path / "scan.nii.gz", VOXELS, np.eye(4))
        (tmp_path / "scan.nii.gz").rename(path)
    elif ending in (".mgz", ".mgh"):
        nibabel.save(nibabel.MGHImage(VOXELS, np.eye(4)), path)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS.T), str(path))
    capitals = path.with_name(path.name[: -len(ending)] + ending.upper())
    path.rename(capitals)
    np.testing.assert_array_equal(read_image(capitals).voxels[0], voxels)
    assert scan_stem(capitals) == "scan"


def test_the_longest_ending_counts():
    assert ending_of("a.b.SEG.nrrd") == ".seg.nrrd"
    assert ending_of("a.nii.gz") == ".nii.gz"
    assert ending_of("notes.txt") == ""
    assert format_of("slice.dcm") is None


def test_messages_and_help_name_every_format(tmp_path, capsys):
    (tmp_path / "scan.webp").write_bytes(b"a picture")
    with pytest.raises(InputError) as raised:
        read_image(tmp_path / "scan.webp")
    assert described() in str(raised.value)
    for command in ("segment", "batch", "train", "evaluate"):
        with pytest.raises(SystemExit):
            attentionseg([command, "--help"])
        shown = "".join(capsys.readouterr().out.split())
        assert all("".join(form.name.split()) in shown for form in FORMATS)
        assert all(ending in shown for ending in ENDINGS)
