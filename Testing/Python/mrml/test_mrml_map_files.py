"""Maps of a batch, loaded into a scene again."""

from __future__ import annotations

import sys

import numpy as np
import SimpleITK
import slicer
from AttentionSegLib.files import write_map
from AttentionSegLib.files.nrrd import read_keys, write_nrrd
from AttentionSegLib.image import Image
from AttentionSegLib.mrml.attention_volumes import is_own_map
from AttentionSegLib.mrml.map_files import show_map_file
from tiny_models import make_card


def load(scene, path):
    """As the application does it."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", path.stem)
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(str(path))
    assert node.GetStorageNode().ReadData(node)
    node.CreateDefaultDisplayNodes()
    return node


def written(path, *about):
    values = np.linspace(0, 1, 6 * 5 * 4, dtype=np.float32).reshape(1, 6, 5, 4)
    write_map(Image(values, np.diag([2.0, 2.0, 3.0, 1.0])), path, *about)
    return path


def test_a_map_looks_as_one_that_was_made_here_and_is_no_scan(scene, tmp_path):
    node = load(scene, written(tmp_path / "a_gate_2.nrrd", "gate_2", make_card(id="boxes")))
    assert show_map_file(node)
    assert is_own_map(node)
    assert node.GetAttribute("AttentionSeg.Map") == "gate_2"
    assert node.GetAttribute("AttentionSeg.ModelId") == "boxes"
    display = node.GetDisplayNode()
    assert display.GetColorNode().GetName() in ("Inferno", "Attention")
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)
    assert display.GetApplyThreshold()
    # What the user changes afterwards stays.
    assert not show_map_file(node)


def test_a_map_in_nifti(scene, tmp_path):
    node = load(scene, written(tmp_path / "renamed.nii.gz", "gate_2", make_card(id="boxes")))
    assert show_map_file(node)
    assert is_own_map(node)


def test_other_volumes_stay_as_they_are(scene, tmp_path):
    scan = load(scene, written(tmp_path / "scan.nrrd"))
    nifti = load(scene, written(tmp_path / "a_gate_2.nii.gz"))
    made = slicer.util.addVolumeFromArray(np.zeros((3, 3, 3), np.float32), name="made")
    for node in (scan, nifti, made):
        assert not show_map_file(node)
        assert not is_own_map(node)


def test_keys_of_a_header(tmp_path):
    keys = {"Name": "a: b", "Lines": "one\ntwo \\ three", "Größe": "ä"}
    write_nrrd(tmp_path / "a.nrrd", np.zeros((2, 2, 2), np.float32), np.eye(4), keys)
    assert read_keys(tmp_path / "a.nrrd") == keys
    assert read_keys(tmp_path / "nowhere.nrrd") == {}
    (tmp_path / "b.nrrd").write_bytes(b"\x1f\x8b no header")
    assert read_keys(tmp_path / "b.nrrd") == {}


def test_an_image_loads_where_pillow_is_missing(scene, tmp_path, monkeypatch):
    """As in Slicer before packages are installed."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((5, 6), np.uint8)), str(tmp_path / "a.png"))
    node = load(scene, written(tmp_path / "a_gate_2.nrrd"))
    node.GetStorageNode().SetFileName(str(tmp_path / "a.png"))
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert not show_map_file(node)
