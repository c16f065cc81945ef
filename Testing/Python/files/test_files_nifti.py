"""NIfTI files from scanners, converters and scripts, judged by nibabel, and by ITK where nibabel has no say."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from geometries import affine_of, all_affines, farthest
from poses import axes_of
from scipy.spatial.transform import Rotation

SHAPE = (6, 5, 4)
HERE = affine_of(axes_of("RAS"))
ELSEWHERE = affine_of(Rotation.from_euler("xyz", [5, -40, 10], degrees=True).as_matrix(), origin=np.array([3.0, 4.0, 5.0]))


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 200, SHAPE).astype(np.int16)


def save(path, voxels, affine=HERE, patch=None, **fields):
    """A file made by nibabel; `fields` of the header are set after nibabel has made it consistent, `patch` maps offsets to bytes."""
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    content = bytearray(path.read_bytes())
    header = np.frombuffer(content, nibabel.Nifti1Header.template_dtype, count=1)[0]
    for field, value in fields.items():
        header[field] = value
    for offset, value in (patch or {}).items():
        content[offset : offset + len(value)] = value
    path.write_bytes(content)
    return path


class TestGeometry:
    @pytest.mark.parametrize("form", ["sform", "qform"])
    def test_every_axis_order_and_handedness(self, tmp_path, voxels, form):
        path = tmp_path / "scan.nii"
        for affine in all_affines():
            scan = nibabel.Nifti1Image(voxels, affine)
            scan.set_sform(affine, 1 if form == "sform" else 0)
            scan.set_qform(affine, 1 if form == "qform" else 0)
            nibabel.save(scan, path)
            image = read_image(path)
            assert farthest(image.affine, affine, SHAPE) < 1e-4
            np.testing.assert_array_equal(image.voxels[0], voxels)

    @pytest.mark.parametrize("sform", [0, 1, 2, 4])
    @pytest.mark.parametrize("qform", [0, 1, 2])
    def test_forms_that_differ(self, tmp_path, voxels, sform, qform):
        scan = nibabel.Nifti1Image(voxels, HERE)
        scan.set_sform(HERE, sform)
        scan.set_qform(ELSEWHERE, qform)
        nibabel.save(scan, tmp_path / "scan.nii")
        image = read_image(tmp_path / "scan.nii")
        if sform or qform:
            assert farthest(image.affine, HERE if sform else ELSEWHERE, SHAPE) < 1e-4
            assert farthest(image.affine, nibabel.load(tmp_path / "scan.nii").affine, SHAPE) < 1e-5
        else:
            np.testing.assert_allclose(image.affine, np.diag([-0.7, -1.3, 2.9, 1]), rtol=1e-6)

    def test_says_where_slicer_shows_the_scan_elsewhere(self, tmp_path, voxels):
        for sform, expected in ((1, False), (2, True)):
            scan = nibabel.Nifti1Image(voxels, HERE)
            scan.set_sform(HERE, sform)
            scan.set_qform(ELSEWHERE, 1)
            nibabel.save(scan, tmp_path / "scan.nii")
            image = read_image(tmp_path / "scan.nii")
            shown = SimpleITK.ReadImage(str(tmp_path / "scan.nii")).GetOrigin()
            assert expected == (not np.allclose(shown, (-HERE[0, 3], -HERE[1, 3], HERE[2, 3]), atol=1e-3))
            assert expected == ("two placements" in " ".join(note.what for note in image.notes))

    def test_spacing_of_the_sform_counts(self, tmp_path, voxels):
        path = save(tmp_path / "scan.nii", voxels, pixdim=[1, 9, 9, 9, 0, 0, 0, 0], sform_code=1)
        np.testing.assert_allclose(read_image(path).spacing, (0.7, 1.3, 2.9), rtol=1e-6)

    @pytest.mark.parametrize(("unit", "scale"), [(1, 1000), (2, 1), (3, 0.001), (0, 1)])
    @pytest.mark.parametrize("form", ["sform_code", "qform_code"])
    def test_units(self, tmp_path, voxels, unit, scale, form):
        forms = {"sform_code": 0, "qform_code": 0, form: 1}
        quaternion = {"quatern_b": 0, "quatern_c": 0, "quatern_d": 0, "qoffset_x": 1, "qoffset_y": 2, "qoffset_z": 3}
        path = save(tmp_path / "scan.nii", voxels, xyzt_units=unit, **forms, **quaternion)
        image = read_image(path)
        origin = {"sform_code": HERE[:3, 3], "qform_code": np.array([1, 2, 3])}[form]
        np.testing.assert_allclose(image.spacing, np.array([0.7, 1.3, 2.9]) * scale, rtol=1e-6)
        np.testing.assert_allclose(image.affine[:3, 3], origin * scale, rtol=1e-6)

    @pytest.mark.parametrize("shear", [2e-3, 0.05, 0.5])
    def test_sheared(self, tmp_path, voxels, shear):
        slanted = HERE @ np.array([[1, shear * 1.3 / 0.7, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        nibabel.save(nibabel.Nifti1Image(voxels, slanted), tmp_path / "scan.nii")
        with pytest.raises(InputError, match=r"scan.nii is sheared"):
            read_image(tmp_path / "scan.nii")

    @pytest.mark.parametrize("degrees", [0.2, 2.9])
    def test_sheared_beside_a_good_qform(self, tmp_path, voxels, degrees):
        sheared = HERE @ np.array([[1, np.tan(np.radians(degrees)) * 1.3 / 0.7, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        scan = nibabel.Nifti1Image(voxels, sheared)
        scan.set_sform(sheared, 1)
        scan.set_qform(ELSEWHERE, 1)
        nibabel.save(scan, tmp_path / "scan.nii")
        image = read_image(tmp_path / "scan.nii")
        assert farthest(image.affine, ELSEWHERE, SHAPE) < 1e-4
        assert [f"meet at {90 - degrees:.1f} degrees" in note.what for note in image.notes] == [True]

    @pytest.mark.parametrize("qform", [0, 1])
    def test_sform_of_zeros(self, tmp_path, voxels, qform):
        scan = nibabel.Nifti1Image(voxels, ELSEWHERE)
        scan.set_qform(ELSEWHERE, qform)
        nibabel.save(scan, tmp_path / "scan.nii")
        path = save(tmp_path / "zeros.nii", voxels)
        path.write_bytes((tmp_path / "scan.nii").read_bytes()[:280] + bytes(48) + (tmp_path / "scan.nii").read_bytes()[328:])
        image = read_image(path)
        assert farthest(image.affine, ELSEWHERE if qform else np.diag([-0.7, -1.3, 2.9, 1]), SHAPE) < 1e-4
        assert ("sform" if qform else "no orientation") in image.notes[0].what

    def test_tells_that_nothing_tells_the_orientation(self, tmp_path, voxels):
        path = save(tmp_path / "scan.nii", voxels, sform_code=0, qform_code=0)
        assert ["no orientation" in note.what for note in read_image(path).notes] == [True]

    @pytest.mark.parametrize("spacing", [0, -1.3, np.nan, np.inf])
    @pytest.mark.parametrize("code", [0, 1])
    def test_senseless_spacing(self, tmp_path, voxels, spacing, code):
        path = save(tmp_path / "scan.nii", voxels, sform_code=0, qform_code=code, pixdim=[1, 0.7, spacing, 2.9, 0, 0, 0, 0])
        with pytest.raises(InputError, match=r"scan.nii has a voxel spacing of 0.7 x .* in its header; correct"):
            read_image(path)

    @pytest.mark.parametrize("fields", [{"srow_x": np.nan}, {"srow_x": 0}, {"srow_z": [1, 0, 0, 0], "srow_x": [1, 0, 0, 0]}])
    def test_senseless_sform(self, tmp_path, voxels, fields):
        path = save(tmp_path / "scan.nii", voxels, sform_code=1, **fields)
        with pytest.raises(InputError, match=r"scan.nii has an? (singular )?(affine|voxel spacing)"):
            read_image(path)

    @pytest.mark.parametrize("fields", [{"quatern_b": np.nan}, {"quatern_b": 0.9, "quatern_c": 0.9}, {"qoffset_x": np.inf}])
    def test_senseless_qform(self, tmp_path, voxels, fields):
        path = save(tmp_path / "scan.nii", voxels, sform_code=0, qform_code=1, **fields)
        with pytest.raises(InputError, match=r"scan.nii has an affine with NaN or infinite"):
            read_image(path)


class TestVoxels:
    @pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_data_types_are_kept(self, tmp_path, voxels, kind, order):
        header = nibabel.Nifti1Header(endianness=order)
        header.set_data_dtype(kind)
        nibabel.save(nibabel.Nifti1Image(voxels.astype(kind), HERE, header), tmp_path / "scan.nii")
        image = read_image(tmp_path / "scan.nii")
        assert image.voxels.dtype == np.dtype(kind)
        assert image.voxels.dtype.isnative
        np.testing.assert_array_equal(image.voxels[0], voxels.astype(kind))
        np.testing.assert_allclose(image.affine, HERE, rtol=1e-6)

    @pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (1, -1024), (0.5, 3.25), (-2, 0), (0, 7), (np.nan, 0)])
    def test_rescaled(self, tmp_path, voxels, slope, intercept):
        path = save(tmp_path / "scan.nii", voxels, scl_slope=slope, scl_inter=intercept)
        expected = nibabel.load(path).get_fdata()
        np.testing.assert_allclose(read_image(path).voxels[0], expected, rtol=1e-6)

    def test_rescaled_by_nothing(self, tmp_path, voxels):
        path = save(tmp_path / "scan.nii", voxels, scl_slope=2, scl_inter=np.nan)
        with pytest.raises(InputError, match="rescale intercept"):
            read_image(path)

    def test_can_be_changed(self, tmp_path, voxels):
        nibabel.save(nibabel.Nifti1Image(voxels, HERE), tmp_path / "scan.nii.gz")
        assert read_image(tmp_path / "scan.nii.gz").voxels.flags.writeable

    def test_one_volume_in_four_dimensions(self, tmp_path, voxels):
        nibabel.save(nibabel.Nifti1Image(voxels[..., None], HERE), tmp_path / "scan.nii.gz")
        np.testing.assert_array_equal(read_image(tmp_path / "scan.nii.gz").voxels[0], voxels)

    @pytest.mark.parametrize(
        ("shape", "sentence"),
        [
            ((6, 5, 4, 3), "holds 3 volumes of 6 x 5 x 4 voxels; save one of them as a 3D file"),
            ((6, 5, 4, 1, 3), "3 values per voxel"),
            ((6,), r"fewer than 2 voxels along J and K \(6 x 1 x 1\)"),
            ((1, 1, 4), r"fewer than 2 voxels along I and J \(1 x 1 x 4\)"),
        ],
    )
    def test_not_one_volume(self, tmp_path, shape, sentence):
        nibabel.save(nibabel.Nifti1Image(np.ones(shape, np.int16), HERE), tmp_path / "scan.nii.gz")
        with pytest.raises(InputError, match=sentence):
            read_image(tmp_path / "scan.nii.gz")

    @pytest.mark.parametrize(
        ("voxels", "sentence"),
        [
            (np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), "3 values per voxel"),
            (np.zeros(SHAPE, np.complex64), "complex numbers"),
        ],
    )
    def test_not_scalar(self, tmp_path, voxels, sentence):
        nibabel.save(nibabel.Nifti1Image(voxels, HERE), tmp_path / "scan.nii")
        with pytest.raises(InputError, match=sentence):
            read_image(tmp_path / "scan.nii")


class TestDamage:
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("kept", [0.05, 0.5, 0.98])
    def test_cut_off(self, tmp_path, ending, kept):
        path = tmp_path / f"scan{ending}"
        nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).random((20, 20, 20)), HERE), path)
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(InputError, match=r"is damaged|not a NIfTI-1 file"):
            read_image(path)

    def test_flipped_bits(self, tmp_path):
        path = tmp_path / "scan.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).random((20, 20, 20)), HERE), path)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x55
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged or cut off"):
            read_image(path)

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"magic": b"abc"}, "not a NIfTI-1 file"),
            ({"sizeof_hdr": 0}, "not a NIfTI-1 file"),
            ({"sizeof_hdr": 540}, "is NIfTI-2, which is not read"),
            ({"vox_offset": np.nan}, "not a NIfTI-1 file"),
            ({"datatype": 1536}, "data type 1536"),
            ({"dim": [3, 32000, 32000, 32000, 1, 1, 1, 1]}, "header promises 65536000000352 bytes"),
            ({"dim": [3, -6, 5, 4, 1, 1, 1, 1]}, "fewer than 2 voxels along I"),
            ({"dim": [3, 6, 5, 40, 1, 1, 1, 1]}, "header promises"),
        ],
    )
    def test_senseless_header(self, tmp_path, voxels, fields, sentence):
        path = save(tmp_path / "scan.nii", voxels, **fields)
        with pytest.raises(InputError, match=sentence):
            read_image(path)

    def test_wrong_extension(self, tmp_path, voxels):
        nibabel.save(nibabel.Nifti1Image(voxels, HERE), tmp_path / "scan.nii")
        (tmp_path / "plain.nii.gz").write_bytes((tmp_path / "scan.nii").read_bytes())
        (tmp_path / "packed.nii").write_bytes(gzip.compress((tmp_path / "scan.nii").read_bytes()))
        for name in ("plain.nii.gz", "packed.nii"):
            np.testing.assert_array_equal(read_image(tmp_path / name).voxels[0], voxels)
