"""Cutting volumes along anatomical planes: the right voxel at the right pixel, in radiological convention."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.image import Image
from AttentionSegLib.reporting.planes import VIEWS, Plane, sample, sample_labels
from poses import centers
from predictions import AXES, SPACING, affine_around, coarse_map


def points_of(plane: Plane) -> np.ndarray:
    """RAS mm of the pixel centers, [rows, columns, 3]."""
    return centers(plane.affine, (plane.pixels, plane.pixels, 1))[:, :, 0]


CENTER = (12.0, -7.0, 33.0)
SHAPE = (50, 16, 30)


def brightest(picture: np.ndarray) -> tuple[int, int]:
    """Row and column of the brightest pixel."""
    return np.unravel_index(np.nanargmax(picture), picture.shape)


def blob_at(ras: np.ndarray, axes: np.ndarray) -> Image:
    """An image with a smooth bright blob around a point, on a grid in any pose."""
    affine = affine_around(CENTER, SHAPE, axes, SPACING)
    grid = Image(np.zeros((1, *SHAPE)), affine)
    distance = np.linalg.norm(grid.to_ras(np.moveaxis(np.indices(SHAPE), 0, -1)) - ras, axis=-1)
    return Image(np.exp(-((distance / 5) ** 2))[None].astype(np.float32), affine)


class TestSample:
    @pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
    @pytest.mark.parametrize("view", VIEWS)
    def test_a_blob_right_anterior_and_superior_is_up_and_on_the_left(self, view, axes):
        offset = np.array([5.0, 6.0, 4.0])
        across, up, through = VIEWS[view]
        center = np.array(CENTER)
        center[through] += offset[through]
        plane = Plane(view, tuple(center), side=40.0, pixels=80)
        row, column = brightest(sample(blob_at(np.array(CENTER) + offset, axes), plane))
        # Pixels of 0.5 mm; the grid is as coarse as 3 mm, so the peak may sit on a voxel beside the blob's center.
        assert row == pytest.approx(40 - 2 * offset[up], abs=4)
        assert column == pytest.approx(40 - 2 * offset[across], abs=4)

    @pytest.mark.parametrize("axes", [AXES["upright"], AXES["lps"], AXES["permuted"]], ids=["upright", "lps", "permuted"])
    def test_one_bright_voxel_fills_its_own_place(self, axes):
        voxels = np.zeros((1, *SHAPE), np.float32)
        voxels[0, 30, 9, 12] = 1
        image = Image(voxels, affine_around(CENTER, SHAPE, axes, SPACING))
        right, anterior, superior = image.to_ras(np.array([30, 9, 12]))
        picture = sample(image, Plane("axial", (CENTER[0], CENTER[1], superior), side=40.0, pixels=401))
        row, column = brightest(picture)
        assert CENTER[0] + 20 - (column + 0.5) * 40 / 401 == pytest.approx(right, abs=0.06)
        assert CENTER[1] + 20 - (row + 0.5) * 40 / 401 == pytest.approx(anterior, abs=0.06)

    @pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
    def test_a_linear_field_is_reproduced_in_mm(self, axes):
        affine = affine_around(CENTER, SHAPE, axes, SPACING)
        grid = Image(np.zeros((1, *SHAPE)), affine)
        weights = np.array([1.0, -2.0, 0.5])
        image = Image((grid.to_ras(np.moveaxis(np.indices(SHAPE), 0, -1)) @ weights)[None].astype(np.float32), affine)
        for view in VIEWS:
            plane = Plane(view, CENTER, side=12.0, pixels=30)
            assert sample(image, plane) == pytest.approx(points_of(plane) @ weights, abs=1e-3)

    def test_there_is_nothing_beyond_the_outer_edge_of_the_voxels(self):
        image = Image(np.ones((1, 10, 10, 10), np.float32), np.eye(4))
        picture = sample(image, Plane("axial", (4.5, 4.5, 4.5), side=20.0, pixels=40))
        inside = np.isfinite(picture)
        assert inside[10:30, 10:30].all()
        assert inside.sum() == 20 * 20
        assert np.isnan(sample(image, Plane("axial", (4.5, 4.5, 10.0), side=20.0, pixels=40))).all()

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float16, np.float32, np.float64, np.bool_])
    def test_every_kind_of_voxel_can_be_cut(self, dtype):
        image = Image(np.ones((1, 6, 6, 6), dtype), np.eye(4))
        assert (sample(image, Plane("coronal", (2.5, 2.5, 2.5), side=4.0, pixels=8)) == 1).all()

    def test_a_coarse_map_lies_where_the_image_lies(self):
        image = Image(np.zeros((1, 32, 24, 16), np.float32), affine_around(CENTER, (32, 24, 16), AXES["oblique"], SPACING))
        heat = coarse_map(image, 4)
        voxel = np.array([5, 3, 2])
        fine = image.to_ras(4 * voxel + 1.5)
        picture = sample(heat, Plane("sagittal", tuple(fine), side=0.01, pixels=1))
        assert picture[0, 0] == pytest.approx(heat.voxels[0, 5, 3, 2], abs=1e-4)


class TestSampleLabels:
    def test_a_label_covers_its_voxels_to_their_edges(self):
        labels = np.zeros((1, 10, 10, 10), np.uint8)
        labels[0, 3:6, 2:8, 5] = 2
        shares = sample_labels(Image(labels, np.eye(4)), Plane("axial", (4.5, 4.5, 5.0), side=10.0, pixels=100))
        assert list(shares) == [2]
        rows, columns = np.nonzero(shares[2] > 0.5)
        # Columns fall from R = 9.5 mm in steps of 0.1 mm; the label reaches from 2.5 to 5.5 mm.
        assert (columns.min(), columns.max()) == (40, 69)
        assert (rows.min(), rows.max()) == (20, 79)

    def test_touching_labels_share_the_place_and_never_mix(self):
        labels = np.ones((1, 8, 8, 8), np.uint8)
        labels[0, 4:] = 3
        shares = sample_labels(Image(labels, np.eye(4)), Plane("axial", (3.5, 3.5, 3.5), side=6.0, pixels=60))
        assert sorted(shares) == [1, 3]
        assert shares[1] + shares[3] == pytest.approx(np.ones((60, 60)))
        assert (shares[3][:, :30] > 0.5).all()
        assert (shares[1][:, 30:] > 0.5).all()

    def test_labels_that_the_plane_misses_are_left_out(self):
        labels = np.zeros((1, 8, 8, 8), np.uint8)
        labels[0, :, :, 6] = 1
        assert sample_labels(Image(labels, np.eye(4)), Plane("axial", (3.5, 3.5, 2.0), side=6.0, pixels=20)) == {}


class TestPlane:
    def test_titles_say_where_the_plane_cuts(self):
        assert Plane("axial", (1.0, 2.0, -14.04), 10.0, 10).title == "axial, S = -14 mm"
        assert Plane("coronal", (1.0, -0.01, 3.0), 10.0, 10).title == "coronal, A = 0 mm"
        assert Plane("sagittal", (27.25, 2.0, 3.0), 10.0, 10).title == "sagittal, R = 27.2 mm"

    @pytest.mark.parametrize(("view", "letters"), [("axial", "RLAP"), ("coronal", "RLSI"), ("sagittal", "APSI")])
    def test_letters_agree_with_the_coordinates(self, view, letters):
        plane = Plane(view, (0.0, 0.0, 0.0), 10.0, 4)
        assert [plane.letters[edge] for edge in ("left", "right", "top", "bottom")] == list(letters)
        directions = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
        points = points_of(plane)
        assert (points[:, 0] @ directions[plane.letters["left"]] > 0).all()
        assert (points[:, -1] @ directions[plane.letters["right"]] > 0).all()
        assert (points[0] @ directions[plane.letters["top"]] > 0).all()
        assert (points[-1] @ directions[plane.letters["bottom"]] > 0).all()
