"""NRRD and MetaImage, whatever their headers say: read exactly, or refused by one sentence."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from geometries import affine_of, all_affines, farthest
from poses import axes_of
from scan_headers import SHAPE, nrrd_fields, write_nrrd

META = "ObjectType = Image\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"


def write_meta(path, voxels, **changes):
    fields = {"NDims": 3, "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "1 2 3", "ElementSpacing": "1 2 3", "DimSize": "6 5 4"}
    fields = {**fields, "ElementType": "MET_SHORT", **changes, "ElementDataFile": "LOCAL"}
    path.write_bytes(
        (META + "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None)).encode() + voxels.tobytes(order="F")
    )
    return path


class TestNrrdAndMetaImage:
    def test_every_axis_order_and_handedness(self, tmp_path, voxels):
        for affine in all_affines():
            image = read_image(write_nrrd(tmp_path / "scan.nrrd", nrrd_fields(affine), voxels))
            np.testing.assert_array_equal(image.voxels[0], voxels)
            assert farthest(image.affine, affine, SHAPE) < 1e-9

    @pytest.mark.parametrize(
        ("space", "signs"),
        [("left-posterior-superior", (-1, -1, 1)), ("LPS", (-1, -1, 1)), ("RAS", (1, 1, 1)), ("left-anterior-superior", (-1, 1, 1))],
    )
    def test_spaces_of_nrrd(self, tmp_path, voxels, space, signs):
        affine = all_affines()[-1]
        image = read_image(write_nrrd(tmp_path / "scan.nrrd", nrrd_fields(affine, space), voxels))
        assert farthest(image.affine, np.diag([*signs, 1]) @ affine, SHAPE) < 1e-9

    def test_nrrd_without_an_origin_begins_at_0(self, tmp_path, voxels):
        affine = all_affines()[-1]
        fields = nrrd_fields(affine, "left-anterior-superior")
        del fields["space origin"]
        image = read_image(write_nrrd(tmp_path / "scan.nrrd", fields, voxels))
        wanted = np.diag([-1, 1, 1, 1]) @ affine
        wanted[:3, 3] = 0
        assert farthest(image.affine, wanted, SHAPE) < 1e-9

    @pytest.mark.parametrize(("unit", "mm"), [("mm", 1), ("cm", 10), ("m", 1000), ("um", 0.001), ("", 1)])
    def test_units_of_nrrd(self, tmp_path, voxels, unit, mm):
        affine = all_affines()[-1]
        fields = {**nrrd_fields(affine), "space units": " ".join([f'"{unit}"'] * 3)}
        image = read_image(write_nrrd(tmp_path / "scan.nrrd", fields, voxels))
        assert farthest(image.affine, np.diag([mm, mm, mm, 1]) @ affine, SHAPE) < 1e-9 * mm

    @pytest.mark.parametrize("units", ['"cm" "mm" "mm"', '"s" "s" "s"', '"cm" "cm" ""'])
    def test_units_of_nrrd_that_are_none(self, tmp_path, voxels, units):
        path = write_nrrd(tmp_path / "scan.nrrd", {**nrrd_fields(all_affines()[-1]), "space units": units}, voxels)
        with pytest.raises(InputError, match="space units"):
            read_image(path)

    @pytest.mark.parametrize("ending", ["nrrd", "nhdr", "mha", "mhd"])
    @pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8"])
    def test_written_by_itk(self, tmp_path, voxels, ending, kind):
        path = tmp_path / f"Aufnahme ä 1.{ending}"
        image = SimpleITK.GetImageFromArray(voxels.astype(kind).T)
        image.SetSpacing([0.7, 1.3, 2.9])
        image.SetOrigin([10, 20, 30])
        image.SetDirection([0, 1, 0, 0, 0, -1, 1, 0, 0])
        # As of an image that was read from NRRD, or from DICOM.
        for key in ("NRRD_kinds[0]", "0008|0060"):
            image.SetMetaData(key, "domain")
        SimpleITK.WriteImage(image, str(path), ending in ("nrrd", "mha"))
        read = read_image(path)
        assert read.voxels.dtype == np.dtype(kind)
        np.testing.assert_array_equal(read.voxels[0], voxels.astype(kind))
        np.testing.assert_allclose(read.affine, [[0, -1.3, 0, -10], [0, 0, 2.9, -20], [0.7, 0, 0, 30], [0, 0, 0, 1]], atol=1e-12)

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"space directions": "(2,0,0) (1,3,0) (0,0,4)"}, "sheared"),
            ({"space directions": "(2,0,0) (0,0,0) (0,0,4)"}, "voxel spacing of 2 x 0 x 4"),
            ({"space directions": "(2,0,0) (0,nan,0) (0,0,4)"}, "space directions is 0 nan 0"),
            ({"space origin": "(0,inf,0)"}, "space origin is 0 inf 0"),
            ({"sizes": "6 5 400"}, "too short"),
            ({"sizes": "120 1 1"}, "fewer than 2 voxels along J and K"),
            ({"dimension": 4, "sizes": "2 3 5 4", "kinds": "list domain domain domain"}, "2 values per voxel"),
        ],
    )
    def test_nrrd_that_cannot_be_used(self, tmp_path, voxels, fields, sentence):
        fields = nrrd_fields(affine_of(axes_of("RAS")), **fields)
        if fields["dimension"] == 4:
            fields["space directions"] = f"none {fields['space directions']}"
        with pytest.raises(InputError, match=sentence):
            read_image(write_nrrd(tmp_path / "scan.nrrd", fields, voxels))

    @pytest.mark.parametrize("format_", ["nrrd", "mha"])
    @pytest.mark.parametrize("told", [True, False])
    def test_an_orientation_that_nothing_tells_is_assumed_with_a_note(self, tmp_path, voxels, format_, told):
        if format_ == "nrrd":
            fields = nrrd_fields(affine_of(axes_of("LPS"))) if told else {"dimension": 3, "sizes": "6 5 4", "spacings": "1 2 3"}
            image = read_image(write_nrrd(tmp_path / "scan.nrrd", fields, voxels))
        else:
            fields = {"TransformMatrix": "1 0 0 0 1 0 0 0 1"} if told else {"TransformMatrix": None}
            image = read_image(write_meta(tmp_path / "scan.mha", voxels, **fields))
        assert (np.diag(image.affine)[:3] * (-1, -1, 1) > 0).all()
        assert ["no orientation" in note.what for note in image.notes] == ([] if told else [True])

    def test_series_in_nrrd(self, tmp_path, voxels):
        fields = {"dimension": 4, "sizes": "6 5 2 2", "spacings": "1 1 1 1"}
        with pytest.raises(InputError, match="holds 2 volumes of 6 x 5 x 2 voxels"):
            read_image(write_nrrd(tmp_path / "scan.nrrd", fields, voxels))

    def test_one_volume_in_four_dimensions(self, tmp_path, voxels):
        fields = {"NDims": 4, "TransformMatrix": "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1", "Offset": "1 2 3 9", "ElementSpacing": "1 2 3 9"}
        image = read_image(write_meta(tmp_path / "scan.mha", voxels, **fields, DimSize="6 5 4 1"))
        np.testing.assert_array_equal(image.voxels[0], voxels)
        np.testing.assert_array_equal(image.affine, [[-1, 0, 0, -1], [0, -2, 0, -2], [0, 0, 3, 3], [0, 0, 0, 1]])

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"TransformMatrix": "1 0 0 .1 1 0 0 0 1"}, "sheared"),
            ({"ElementSpacing": "0 2 3"}, "ElementSpacing is 0 2 3"),
            ({"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, "voxel spacing of 0 x 0 x 0 mm"),
            ({"ElementSpacing": "-1 2 3"}, "ElementSpacing is -1 2 3"),
            ({"Offset": "0 nan 0"}, "Offset is 0 nan 0"),
            ({"DimSize": "6 5 400"}, "too short"),
            ({"DimSize": "3 5 4", "ElementNumberOfChannels": 2}, "2 values per voxel"),
        ],
    )
    def test_metaimage_that_cannot_be_used(self, tmp_path, voxels, fields, sentence):
        with pytest.raises(InputError, match=sentence):
            read_image(write_meta(tmp_path / "scan.mha", voxels, **fields))

    @pytest.mark.parametrize("dimensions", [0, 93])
    def test_metaimage_of_impossible_dimensions(self, tmp_path, voxels, dimensions, capfd):
        with pytest.raises(InputError, match="is not a MetaImage"):
            read_image(write_meta(tmp_path / "scan.mha", voxels, NDims=dimensions))
        assert capfd.readouterr().err == ""

    def test_text_called_metaimage_is_refused_in_silence(self, tmp_path, capfd):
        (tmp_path / "scan.mha").write_text("These are notes, not a scan.\n" * 50)
        with pytest.raises(InputError, match="is not a MetaImage"):
            read_image(tmp_path / "scan.mha")
        assert capfd.readouterr().err == ""

    def test_data_file_that_is_missing(self, tmp_path):
        SimpleITK.WriteImage(SimpleITK.Image(5, 5, 5, SimpleITK.sitkInt16), str(tmp_path / "scan.nhdr"))
        (tmp_path / "scan.raw").unlink()
        with pytest.raises(InputError, match=r"keeps its voxels in scan\.raw, which is not there"):
            read_image(tmp_path / "scan.nhdr")
