"""Files that are damaged in ways that their format can show are refused, by name, before memory is taken."""

from __future__ import annotations

import os
import shutil
import zlib

import numpy as np
import pytest
import SimpleITK
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from dicom_series import directions_of, positions_of, write_series

SHAPE = (12, 10, 8)


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(3).integers(-500, 500, SHAPE).astype(np.int16)


def save(folder, voxels, ending, compressed=True):
    path = folder / f"scan.{ending}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels.T), str(path), compressed)
    return path


def change(path, change_bytes):
    path.write_bytes(change_bytes(path.read_bytes()))
    return path


def in_field(name, value):
    """A change of one field of a header."""

    def changed(content):
        lines = content.split(b"\n")
        number = next(n for n, line in enumerate(lines) if line.startswith(name.encode()))
        separator = b" = " if b" = " in lines[number] else b": "
        lines[number] = name.encode() + separator + value.encode()
        return b"\n".join(lines)

    return changed


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
class TestCompressedVoxels:
    def test_are_read_as_they_are(self, tmp_path, voxels, ending):
        np.testing.assert_array_equal(read_image(save(tmp_path, voxels, ending)).voxels[0], voxels)

    def test_with_a_wrong_byte(self, tmp_path, voxels, ending):
        path = save(tmp_path, voxels, ending)
        for place in range(100, 1400, 100):
            damaged = tmp_path / f"{place}.{ending}"
            shutil.copy(path, damaged)
            change(damaged, lambda content, at=place: content[:-at] + bytes([content[-at] ^ 0x55]) + content[len(content) - at + 1 :])
            with pytest.raises(InputError, match=f"{place}.{ending} is damaged or cut off"):
                read_image(damaged)

    def test_cut_off(self, tmp_path, voxels, ending):
        path = change(save(tmp_path, voxels, ending), lambda content: content[:-300])
        with pytest.raises(InputError, match="is damaged or cut off"):
            read_image(path)

    def test_more_or_less_than_the_header_means(self, tmp_path, voxels, ending):
        field = "sizes" if ending == "nrrd" else "DimSize"
        for number, size in enumerate(("12 10 9", "12 10 7")):
            path = change(save(tmp_path, voxels, ending), in_field(field, size)).rename(tmp_path / f"{number}.{ending}")
            with pytest.raises(InputError, match="is damaged or cut off"):
                read_image(path)

    def test_sizes_that_the_file_cannot_hold_take_no_memory(self, tmp_path, voxels, ending):
        path = change(save(tmp_path, voxels, ending), in_field("sizes" if ending == "nrrd" else "DimSize", "9000 9000 9000"))
        with pytest.raises(InputError, match="too short"):
            read_image(path)


class TestMetaImage:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ElementDataFile", "LO\x01CAL"),
            ("ElementType", "MET_SHORTS"),
            ("DimSize", "12 10"),
            ("DimSize", "12 -10 8"),
            ("CompressedDataSize", "-4"),
            ("CompressedDataSize", "4000000"),
            ("CompressedData", "?"),
            ("NDims", "3e1"),
            ("TransformMatrix", "1 0 0 0 1 0 0 0"),
        ],
    )
    def test_a_header_that_contradicts_itself(self, tmp_path, voxels, name, value, capfd):
        path = change(save(tmp_path, voxels, "mha"), in_field(name, value))
        with pytest.raises(InputError, match="damaged"):
            read_image(path)
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(("name", "value"), [("ElementDataFile", "LIST"), ("ElementDataFile", "slice%03d.raw 1 8 1"), ("BinaryData", "False")])
    def test_voxels_elsewhere_are_refused(self, tmp_path, voxels, name, value):
        with pytest.raises(InputError, match="as text or in several files"):
            read_image(change(save(tmp_path, voxels, "mha"), in_field(name, value)))

    def test_big_endian(self, tmp_path, voxels):
        header = "ObjectType = Image\nNDims = 3\nBinaryDataByteOrderMSB = True\nDimSize = 12 10 8\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
        path = tmp_path / "scan.mha"
        path.write_bytes(header.encode() + voxels.astype(">i2").tobytes(order="F"))
        read = read_image(path)
        assert read.voxels.dtype == np.dtype("=i2")
        np.testing.assert_array_equal(read.voxels[0], voxels)

    def test_without_a_size_of_the_compressed_bytes(self, tmp_path, voxels):
        header = "ObjectType = Image\nNDims = 3\nCompressedData = True\nDimSize = 12 10 8\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
        path = tmp_path / "scan.mha"
        path.write_bytes(header.encode() + zlib.compress(voxels.astype("<i2").tobytes(order="F")))
        np.testing.assert_array_equal(read_image(path).voxels[0], voxels)


class TestNrrd:
    def header(self, **fields):
        told = {"type": "short", "dimension": "3", "sizes": "12 10 8", "endian": "big", "encoding": "raw", **fields}
        return ("NRRD0004\n" + "".join(f"{name}: {value}\n" for name, value in told.items()) + "\n").encode()

    def test_big_endian_after_bytes_to_skip(self, tmp_path, voxels):
        for number, skip in enumerate(("7", "-1")):
            path = tmp_path / f"{number}.nrrd"
            path.write_bytes(self.header(**{"byte skip": skip}) + b"7 bytes" + voxels.astype(">i2").tobytes(order="F"))
            np.testing.assert_array_equal(read_image(path).voxels[0], voxels)

    def test_a_detached_data_file(self, tmp_path, voxels):
        (tmp_path / "scan.nhdr").write_bytes(self.header(**{"data file": "my scan.raw"}))
        (tmp_path / "my scan.raw").write_bytes(voxels.astype(">i2").tobytes(order="F"))
        np.testing.assert_array_equal(read_image(tmp_path / "scan.nhdr").voxels[0], voxels)

    @pytest.mark.parametrize("fields", [{"type": "shirt"}, {"sizes": "12 10"}, {"dimension": "x"}, {"endian": "middle"}, {"byte skip": "two"}])
    def test_a_header_that_contradicts_itself(self, tmp_path, voxels, fields):
        path = tmp_path / "scan.nrrd"
        path.write_bytes(self.header(**fields) + voxels.tobytes())
        with pytest.raises(InputError, match=r"scan\.nrrd is damaged"):
            read_image(path)


@pytest.mark.parametrize("offset", [1e30, float("inf"), float("nan"), 1e6])
def test_nifti_voxels_beyond_the_end(tmp_path, voxels, offset):
    path = save(tmp_path, voxels, "nii", compressed=False)
    change(path, lambda content: content[:108] + np.float32(offset).tobytes() + content[112:])
    with pytest.raises(InputError, match="damaged"):
        read_image(path)


class TestDicom:
    def series(self, folder, voxels):
        directions = directions_of("axial")
        return write_series(folder, voxels, positions_of(SHAPE[2], directions), directions)

    @pytest.mark.parametrize("number", [0, 3, 7])
    @pytest.mark.parametrize("left", [71, 600])
    def test_a_slice_that_was_cut_off(self, tmp_path, voxels, number, left):
        files = self.series(tmp_path, voxels)
        change(files[number], lambda content: content[:left])
        with pytest.raises(InputError, match=files[number].name):
            read_image(tmp_path)

    def test_pixels_that_are_missing(self, tmp_path, voxels):
        files = self.series(tmp_path, voxels)
        change(files[2], lambda content: content[:-100])
        with pytest.raises(InputError, match=f"{files[2].name} is a damaged DICOM file"):
            read_image(tmp_path)

    def test_other_files_beside_a_series_are_passed_over(self, tmp_path, voxels):
        self.series(tmp_path, voxels)
        (tmp_path / "notes 1.txt").write_text("No slice.")
        assert read_image(tmp_path).shape[2] == 8


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names on this system")
@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.mha", "scan"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="a device or a pipe"):
        read_image(tmp_path / name)
