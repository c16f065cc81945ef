"""A scan whose regions are found: one prediction for all of them, the same as of each by itself."""

from __future__ import annotations

from dataclasses import replace

import heads
import numpy as np
import pytest
from AttentionSegLib.errors import Cancelled, InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Prediction, Predictor, region_search
from AttentionSegLib.inference.progress import Progress
from AttentionSegLib.inference.region_search import RegionSearch
from AttentionSegLib.reporting import measure

SIDES = ("right", "left")
SHARED = np.array((48.0, 40.0, 30.0))


@pytest.fixture(scope="module")
def head() -> tuple[Image, dict[str, np.ndarray]]:
    """At the spacing of the model, so that it works on the voxels as they are."""
    return heads.head((6, -4, 5), spacing=2.0)


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Predictor:
    return Predictor(heads.intensity_finder(tmp_path_factory.mktemp("model")), "cpu")


@pytest.fixture(scope="module")
def prediction(engine, head) -> Prediction:
    return engine(head[0], probabilities=True)


@pytest.fixture(scope="module")
def alone(engine, head, prediction) -> list[Prediction]:
    """Of each region, given by hand."""
    return [engine(head[0], region, probabilities=True) for region in prediction.regions.values()]


@pytest.fixture
def fresh(engine) -> Predictor:
    """That has seen no scan yet."""
    return Predictor(engine.model, "cpu")


class TestLabels:
    def test_are_those_of_each_region_with_values_of_their_own(self, prediction, alone):
        right, left = (one.labels.voxels for one in alone)
        expected = np.where(right > 0, right, np.where(left > 0, left + 2, 0))
        assert set(np.unique(expected)) == {0, 1, 2, 3, 4}
        np.testing.assert_array_equal(prediction.labels.voxels, expected)

    def test_have_names_and_places_of_their_sides(self, prediction, head):
        measurements = measure(prediction)
        assert [one.name for one in measurements] == [f"Hippocampus {part}, {side}" for side in SIDES for part in ("anterior", "posterior")]
        for measurement, side in zip(measurements, ("right", "right", "left", "left")):
            assert np.linalg.norm(measurement.center - head[1][side]) < 3

    def test_lie_in_the_geometry_of_the_scan(self, prediction, head):
        for image in (prediction.labels, prediction.uncertainty, prediction.probabilities):
            assert image.shape == head[0].shape
            np.testing.assert_array_equal(image.affine, head[0].affine)

    def test_uncertainty_and_probabilities_are_those_of_each_region(self, prediction, alone):
        right, left = alone
        np.testing.assert_allclose(prediction.uncertainty.voxels, np.maximum(right.uncertainty.voxels, left.uncertainty.voxels), atol=1e-5)
        assert len(prediction.probabilities.voxels) == 5
        np.testing.assert_allclose(prediction.probabilities.voxels[1:3], right.probabilities.voxels[1:], atol=1e-3)
        np.testing.assert_allclose(prediction.probabilities.voxels[3:], left.probabilities.voxels[1:], atol=1e-3)
        background = right.probabilities.voxels[0] + left.probabilities.voxels[0] - 1
        np.testing.assert_allclose(prediction.probabilities.voxels[0], background, atol=1e-3)

    def test_a_voxel_of_two_regions_belongs_to_the_nearer(self, engine, placed):
        image = Image(np.full((1, 40, 40, 40), 75, np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
        image.voxels[0, 0] = 0
        placed(right=tuple(np.add(SHARED, (6, 0, 0))), left=tuple(np.subtract(SHARED, (6, 0, 0))))
        labels = engine(image, attention=False).labels
        along = labels.voxels[0][:, 20, 15]
        r = labels.to_ras(np.argwhere(labels.voxels[0] == 1))[:, 0]
        assert r.min() >= SHARED[0]
        assert set(along[(2 * np.arange(40) > 48) & (2 * np.arange(40) < 69)]) == {1}
        assert set(along[(2 * np.arange(40) > 27) & (2 * np.arange(40) < 48)]) == {3}


class TestMaps:
    def test_are_one_image_each_on_one_lattice(self, prediction, head):
        image, _ = head
        for name, stride in (("gate_2", 2), ("gate_3", 4)):
            heat = prediction.attention[name]
            assert heat.spacing == pytest.approx([2 * stride] * 3)
            seen = np.zeros(heat.shape, bool)
            for index in np.argwhere(heat.voxels[0] != 0):
                seen[tuple(index)] = True
                first = np.rint(image.to_ijk(heat.to_ras(index)) - (stride - 1) / 2).astype(int)
                block = image.voxels[0][tuple(slice(a, a + stride) for a in first)]
                assert heat.voxels[0][tuple(index)] == pytest.approx(block.mean(), abs=1e-3)
            for region in prediction.regions.values():
                assert seen[tuple(np.rint(heat.to_ijk(np.array(region.center))).astype(int))]
            middle = np.mean([region.center for region in prediction.regions.values()], axis=0)
            assert not seen[tuple(np.rint(heat.to_ijk(middle)).astype(int))]

    def test_of_the_first_region_are_as_by_itself(self, prediction, alone):
        for name, heat in alone[0].attention.items():
            start = np.rint(prediction.attention[name].to_ijk(heat.affine[:3, 3])).astype(int)
            window = tuple(slice(a, a + n) for a, n in zip(start, heat.shape))
            np.testing.assert_allclose(prediction.attention[name].to_ras(start), heat.affine[:3, 3], atol=1e-9)
            np.testing.assert_array_equal(prediction.attention[name].voxels[0][window], heat.voxels[0])

    def test_on_the_grid_of_the_scan_they_are_nothing_outside_the_regions(self, engine, head, prediction):
        image, _ = head
        heat = engine(image, attention="gate_2", attention_grid="input").attention["gate_2"]
        assert heat.shape == image.shape
        places = image.to_ras(np.moveaxis(np.indices(image.shape), 0, -1))
        inside = np.any([region.contains(places) for region in prediction.regions.values()], axis=0)
        assert not heat.voxels[0][~inside].any()
        assert (heat.voxels[0][inside] != 0).mean() > 0.99


class TestProbe:
    @pytest.fixture(scope="class")
    def guided(self, tmp_path_factory, head, prediction) -> Prediction:
        engine = Predictor(heads.guided_finder(tmp_path_factory.mktemp("guided")), "cpu")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(region_search, "find_by_template", lambda *_: prediction.found)
            return engine(head[0])

    def test_works_in_every_region(self, guided):
        for region in guided.regions.values():
            row = guided.probe.row(region.center)
            assert row.voxels.sum() == pytest.approx(1, abs=1e-3)
            assert np.linalg.norm(row.corners().mean(0) - region.center) < 30

    def test_outside_of_all_is_refused(self, guided):
        middle = np.mean([region.center for region in guided.regions.values()], axis=0)
        with pytest.raises(InputError, match="is outside what was segmented; choose one inside"):
            guided.probe.row(middle)

    def test_maps_are_shares_of_the_largest_in_all_regions(self, guided):
        guidance = [heat.voxels for name, heat in guided.attention.items() if name.startswith("guided")]
        assert guidance
        assert all(voxels.max() == pytest.approx(1) for voxels in guidance)


class TestRecord:
    def test_says_where_the_regions_were_and_what_found_them(self, prediction, head):
        assert list(prediction.regions) == list(SIDES)
        assert all(np.linalg.norm(prediction.regions[side].center - head[1][side]) < 2 for side in SIDES)
        assert prediction.found.how == "registration of a head of formulas"

    def test_times_every_part(self, prediction):
        assert list(prediction.seconds) == ["find", "prepare", "network", "restore", "finish"]
        assert prediction.seconds["find"] > 0.1

    def test_a_side_that_is_left_out_keeps_its_values_free(self, fresh, head, placed):
        image, centers = head
        placed(left=tuple(centers["left"]))
        prediction = fresh(image)
        assert set(np.unique(prediction.labels.voxels)) == {0, 3, 4}
        assert [one.voxels > 0 for one in measure(prediction)] == [False, False, True, True]

    def test_notes_of_finding_are_notes_of_the_prediction(self, fresh, head, monkeypatch, prediction):
        monkeypatch.setattr(region_search, "find_by_template", lambda *_: replace(prediction.found, notes=("One side is gone.",)))
        assert fresh(head[0], attention=False).notes == ("One side is gone.",)


class TestNotSearched:
    def test_where_a_region_is_given(self, alone):
        for one in alone:
            assert one.found is None
            assert one.regions == {}
            assert [label.name for label in one.card.labels] == ["Hippocampus anterior", "Hippocampus posterior"]
            assert set(np.unique(one.labels.voxels)) == {0, 1, 2}
            assert "find" not in one.seconds

    def test_where_the_scan_is_about_as_large_as_a_region(self, engine, head):
        image, centers = head
        first = np.rint(image.to_ijk(centers["left"])).astype(int) - (12, 14, 12)
        affine = image.affine.copy()
        affine[:3, 3] = image.to_ras(first)
        crop = Image(image.voxels[(slice(None), *(slice(a, a + n) for a, n in zip(first, (24, 28, 24))))], affine)
        prediction = engine(crop)
        assert prediction.found is None
        assert set(np.unique(prediction.labels.voxels)) == {0, 1, 2}

    def test_nothing_is_segmented_where_nothing_is_found(self, engine):
        noise = Image(np.random.default_rng(0).random((1, 60, 60, 60)), np.diag([2.5, 2.5, 2.5, 1]), "noise.nii")
        with pytest.raises(InputError, match=r"^The regions of the model hippocampus-t1 were not found in noise\.nii"):
            engine(noise)


class TestSearchedOnce:
    @pytest.fixture
    def searches(self, monkeypatch, prediction) -> list[str]:
        """Names of the scans that were searched."""
        found: list[str] = []
        monkeypatch.setattr(region_search, "find_by_template", lambda *given: found.append(given[3].name) or prediction.found)
        return found

    def test_a_scan_that_comes_again(self, fresh, head, searches):
        scan = head[0]
        fresh.look_ahead(scan)
        for _ in range(2):
            again = fresh(Image(scan.voxels.copy(order="K"), scan.affine, scan.name), attention=False)
        assert searches == [scan.name]
        assert again.found.regions.keys() == {"right", "left"}

    def test_for_all_models_that_search_alike(self, fresh, head, searches):
        RegionSearch(fresh.model.card, fresh.model.folder, Predictor)(head[0], Progress())
        larger = replace(fresh.model, card=replace(fresh.model.card, region_size=(60.0, 60.0, 60.0)))
        for model in (fresh.model, fresh.model, larger, fresh.model):
            RegionSearch(model.card, model.folder, Predictor)(head[0], Progress())
        assert len(searches) == 3

    @pytest.mark.parametrize("what", ["voxels", "affine", "name"])
    def test_but_not_another(self, fresh, head, searches, what):
        scan = head[0]
        other = {"voxels": scan.voxels.copy(), "affine": scan.affine.copy(), "name": scan.name}
        if what == "name":
            other["name"] = "another"
        else:
            other[what].flat[-5] += 1
        fresh.look_ahead(scan)
        fresh.look_ahead(Image(**other))
        assert len(searches) == 2


class TestProgress:
    def test_goes_on_over_all_regions(self, engine, head):
        told = []
        engine(head[0], attention=False, on_progress=lambda *step: told.append(step))
        fractions = [fraction for fraction, _, _ in told]
        assert fractions == sorted(fractions)
        assert told[-1][0] == pytest.approx(1)
        stages = [stage for (_, stage, _), (_, before, _) in zip(told[1:], told) if stage != before]
        assert stages == ["prepare", "network", "restore", "prepare", "network", "restore", "finish", "done"]

    def test_a_run_ends_in_the_second_region_when_asked_to(self, fresh, head, placed):
        placed(**{side: tuple(center) for side, center in head[1].items()})
        stages = []
        with pytest.raises(Cancelled):
            fresh(head[0], on_progress=lambda _fraction, stage, _left: stages.append(stage), cancel=lambda: stages.count("prepare") == 2)
        assert stages.count("prepare") == 2
        assert "finish" not in stages
