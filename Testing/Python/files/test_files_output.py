"""What is written reads back exactly, elsewhere too, and nothing is ever half-written."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager

import nibabel
import numpy as np
import pytest
import SimpleITK
import slicerio
from AttentionSegLib.errors import InputError, OutputError
from AttentionSegLib.files import atomic_path, check_output_folder, read_image, write_map, write_segmentation, write_text
from AttentionSegLib.image import Image
from AttentionSegLib.models import Card
from builders import make_card_document
from geometries import affine_of, all_affines, farthest
from poses import axes_of

SHAPE = (7, 6, 5)
LPS = np.diag([-1, -1, 1, 1])


@pytest.fixture
def card() -> Card:
    return Card.from_document(make_card_document())


@pytest.fixture
def labels() -> Image:
    voxels = np.random.default_rng(0).integers(0, 3, (1, *SHAPE)).astype(np.uint8)
    return Image(voxels, affine_of(axes_of("LPS")), "labels")


@pytest.fixture
def values() -> Image:
    return Image(np.random.default_rng(0).random((1, *SHAPE), dtype=np.float32), affine_of(axes_of("SAL")), "map")


class TestSegmentation:
    def test_every_geometry_in_nrrd(self, tmp_path, card, labels):
        path = tmp_path / "Köpfe 1.seg.nrrd"
        for affine in all_affines():
            write_segmentation(Image(labels.voxels, affine), card, path)
            back = slicerio.read_segmentation(str(path))
            np.testing.assert_array_equal(back["voxels"], labels.voxels[0])
            assert farthest(LPS @ back["ijkToLPS"], affine, SHAPE) < 1e-9

    def test_every_geometry_in_nifti(self, tmp_path, card, labels):
        path = tmp_path / "labels.nii.gz"
        for affine in all_affines():
            write_segmentation(Image(labels.voxels, affine), card, path)
            back = nibabel.load(path)
            assert back.get_data_dtype() == np.uint8
            np.testing.assert_array_equal(np.asarray(back.dataobj), labels.voxels[0])
            assert farthest(back.get_sform(), affine, SHAPE) < 1e-4
            # For half a turn, older nibabel takes the rounding of float32 for a rotation.
            assert farthest(back.get_qform(), affine, SHAPE) < 1e-2
            assert (int(back.header["sform_code"]), int(back.header["qform_code"])) == (1, 1)
            shown = SimpleITK.ReadImage(str(path))
            itk = np.eye(4)
            itk[:3, :3] = np.reshape(shown.GetDirection(), (3, 3)) * shown.GetSpacing()
            itk[:3, 3] = shown.GetOrigin()
            assert farthest(LPS @ itk, affine, SHAPE) < 1e-4

    def test_segments(self, tmp_path, card, labels):
        write_segmentation(labels, card, tmp_path / "a.seg.nrrd", reference_name="T1")
        back = slicerio.read_segmentation(str(tmp_path / "a.seg.nrrd"))
        assert [segment["name"] for segment in back["segments"]] == [label.name for label in card.labels]
        assert [segment["id"] for segment in back["segments"]] == [label.segment_id for label in card.labels]
        for segment, label in zip(back["segments"], card.labels):
            np.testing.assert_allclose(segment["color"], np.array(label.color) / 255, atol=1e-6)
            for part in ("category", "type"):
                assert segment["terminology"][part] == str(getattr(label, part)).split("^")
            assert segment["labelValue"] == label.value
        assert back["AttentionSeg_Scan"] == "T1"
        assert back["encoding"] == "gzip"

    def test_far_from_the_origin_in_nifti(self, tmp_path, card, labels):
        affine = affine_of(all_affines()[50][:3, :3], np.ones(3), np.array([900.0, -900.0, 900.0]))
        write_segmentation(Image(labels.voxels, affine), card, tmp_path / "a.nii.gz")
        assert farthest(read_image(tmp_path / "a.nii.gz").affine, affine, (512, 512, 512)) < 2e-4

    def test_many_labels(self, tmp_path, labels):
        entry = make_card_document()["labels"][0]
        card = Card.from_document(make_card_document(labels=[{**entry, "value": value, "name": f"Rib {value}"} for value in range(1, 301)]))
        voxels = np.random.default_rng(0).integers(0, 301, (1, *SHAPE)).astype(np.uint16)
        for name in ("a.seg.nrrd", "a.nii.gz"):
            write_segmentation(Image(voxels, labels.affine), card, tmp_path / name)
            np.testing.assert_array_equal(read_image(tmp_path / name).voxels, voxels)

    def test_label_that_is_not_on_the_card(self, tmp_path, card, labels):
        with pytest.raises(InputError, match=r"has the label 9, but the model .* has 2 labels"):
            write_segmentation(Image(labels.voxels * 0 + 9, labels.affine), card, tmp_path / "a.seg.nrrd")
        assert not list(tmp_path.iterdir())

    def test_same_content_gives_the_same_file(self, tmp_path, card, labels):
        for ending in (".seg.nrrd", ".nii.gz"):
            for stem in "ab":
                write_segmentation(labels, card, tmp_path / f"{stem}{ending}")
            assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()

    @pytest.mark.parametrize("name", ["a.nrrd", "a.stl", "a"])
    def test_other_extensions(self, tmp_path, card, labels, name):
        with pytest.raises(InputError, match=r"use .seg.nrrd or .nii.gz"):
            write_segmentation(labels, card, tmp_path / name)


class TestMap:
    @pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
    def test_every_geometry(self, tmp_path, values, ending):
        path = tmp_path / f"map{ending}"
        for affine in all_affines():
            write_map(Image(values.voxels, affine), path)
            back = read_image(path)
            assert back.voxels.dtype == np.float32
            np.testing.assert_array_equal(back.voxels, values.voxels)
            assert farthest(back.affine, affine, SHAPE) < (1e-4 if ending == ".nii.gz" else 1e-9)

    @pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
    def test_other_programs_read_it(self, tmp_path, values, ending):
        write_map(values, tmp_path / f"map{ending}")
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / f"map{ending}"))).T, values.voxels[0])

    def test_slight_shear_is_kept(self, tmp_path, values):
        slanted = affine_of(np.eye(3) + np.array([[0, 5e-4, 0], [0, 0, 0], [0, 0, 0]]))
        for ending in (".nrrd", ".nii.gz"):
            write_map(Image(values.voxels, slanted), tmp_path / f"map{ending}")
            assert farthest(read_image(tmp_path / f"map{ending}").affine, slanted, SHAPE) < 1e-4

    def test_float16_and_float64_become_float32(self, tmp_path, values):
        for kind in (np.float16, np.float64):
            write_map(Image(values.voxels.astype(kind), values.affine), tmp_path / "map.nrrd")
            np.testing.assert_array_equal(read_image(tmp_path / "map.nrrd").voxels, values.voxels.astype(kind).astype(np.float32))

    def test_several_channels(self, tmp_path, values):
        with pytest.raises(InputError, match="has 2 channels; write one file per channel"):
            write_map(Image(np.repeat(values.voxels, 2, axis=0), values.affine, "probabilities"), tmp_path / "a.nrrd")


class TestAtomic:
    def test_full_extension_and_no_rest(self, tmp_path):
        with atomic_path(tmp_path / "a b.seg.nrrd") as temporary:
            assert temporary.name == "a b.seg.nrrd"
            temporary.write_text("new")
            assert not (tmp_path / "a b.seg.nrrd").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["a b.seg.nrrd"]

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_failure_leaves_the_old_file(self, tmp_path, error):
        path = tmp_path / "report.json"
        write_text(path, "old")
        with pytest.raises(error):
            _fail_halfway(path, error)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_missing_folder(self, tmp_path):
        with pytest.raises(OutputError, match=r"a.txt cannot be written .No such file or directory"):
            write_text(tmp_path / "nowhere" / "a.txt", "text")

    def test_a_file_where_the_folder_should_be(self, tmp_path):
        (tmp_path / "taken").write_text("kept")
        with pytest.raises(OutputError, match=r"cannot be written"):
            write_text(tmp_path / "taken" / "a.txt", "")
        assert (tmp_path / "taken").read_text() == "kept"

    def test_text_is_utf8_with_its_own_line_ends(self, tmp_path):
        write_text(tmp_path / "ä.json", '{"Größe": "5 µm"}\n')
        assert (tmp_path / "ä.json").read_bytes() == '{"Größe": "5 µm"}\n'.encode()

    @pytest.mark.parametrize("name", ["a.seg.nrrd", "a.nii.gz"])
    def test_full_disk(self, tmp_path, card, name):
        labels = Image(np.random.default_rng(0).integers(0, 3, (1, 60, 60, 60)).astype(np.uint8), np.eye(4))
        with _largest_file(20_000), pytest.raises(OutputError, match=f"^{re.escape(str(tmp_path / name))} cannot be written"):
            write_segmentation(labels, card, tmp_path / name)
        assert not list(tmp_path.iterdir())


def _fail_halfway(path, error):
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


@contextmanager
def _largest_file(size):
    """Let the system refuse to write beyond a size, as a full disk does."""
    resource = pytest.importorskip("resource", reason="this system has no limit for the size of files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class TestOutputFolder:
    def test_made_with_its_parents(self, tmp_path):
        folder = check_output_folder(tmp_path / "Ärzte 1" / "results")
        assert folder.is_dir()
        assert not list(folder.iterdir())
        assert check_output_folder(str(folder)) == folder

    @pytest.mark.parametrize("name", ["file", "file/results", "file/more/results"])
    def test_file_in_the_way(self, tmp_path, name):
        (tmp_path / "file").write_text("x")
        with pytest.raises(InputError, match=r"cannot be used .* choose another folder"):
            check_output_folder(tmp_path / name)
        assert [path.name for path in tmp_path.rglob("*")] == ["file"]

    def test_nothing_left_behind(self, tmp_path):
        with pytest.raises(InputError, match="cannot be used"):
            check_output_folder(tmp_path / "new" / ("x" * 300))
        assert not list(tmp_path.iterdir())

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
    def test_forbidden(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(InputError, match="cannot be used"):
            check_output_folder(tmp_path / "results")
