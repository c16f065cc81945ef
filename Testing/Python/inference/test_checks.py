"""Bad input: one sentence that names the input, what is wrong and what to do, before any work is done."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.inference.checks import LARGEST_REGION, SMALLEST_REGION, check_input, region_note
from AttentionSegLib.inference.devices import available_devices, choose_device
from AttentionSegLib.models import Model
from AttentionSegLib.region import Region
from poses import OBLIQUE, affine_around, centers
from tiny_models import IntensityNetwork, intensity_model, make_card

TWO_INPUTS = [{"name": name, "modality": "MR", "normalization": {"kind": "z-score", "percentiles": [0, 100]}} for name in ("T1", "FLAIR")]


def noise(shape=(1, 12, 12, 12), axes=OBLIQUE, **changes) -> Image:
    voxels = np.random.default_rng(0).random(shape)
    for place, value in changes.items():
        voxels.flat[int(place[1:])] = value
    return Image(voxels, affine_around((20, -30, 40), shape[1:], axes, (1, 1, 1)), "scan.nii")


def refused(image: Image, roi: Region | None = None, **changes) -> str:
    """The sentence for an image; the same from the check and from a run, neither of which may warn or report progress."""
    predictor = Predictor(Model(make_card(**changes), IntensityNetwork(), None), "cpu")
    told = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError) as caught:
            predictor(image, roi, on_progress=lambda *step: told.append(step))
        with pytest.raises(InputError, match=re.escape(str(caught.value))):
            check_input(image, roi, predictor.model.card)
    assert not told
    return sentence(caught)


def sentence(caught) -> str:
    text = str(caught.value)
    assert re.fullmatch(r"[A-Za-z][^\n]+[;,:] [^\n]+\.", text)
    return text


class TestVoxels:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, -1e16])
    def test_that_are_no_usable_numbers_are_counted(self, value):
        text = refused(noise(_3=value, _700=value))
        assert text.startswith("scan.nii has 2 voxel(s) that are NaN, infinite or above 1e+15; ")

    def test_of_the_wrong_channel_are_named(self):
        image = noise((2, 12, 12, 12), _2000=np.nan)
        assert refused(image, inputs=TWO_INPUTS).startswith("scan.nii (channel FLAIR) has 1 voxel(s)")

    @pytest.mark.parametrize("kind", ["f4", "u1", "?", "i8"])
    def test_that_are_all_alike(self, kind):
        image = Image(np.ones((1, 8, 8, 8), kind), np.eye(4), "scan.nii")
        assert refused(image) == "scan.nii has the same intensity (1) everywhere; there is nothing to segment, choose another scan."

    @pytest.mark.parametrize("shape", [(1, 1, 12, 12), (1, 12, 1, 12), (1, 12, 12, 1)])
    def test_of_a_single_slice(self, shape):
        assert "takes volumes; give the scan with all of its slices" in refused(Image(np.zeros(shape), np.eye(4), "scan.nii"))

    def test_none_along_an_axis(self):
        assert "has no voxels (0 x 12 x 12)" in refused(Image(np.zeros((1, 0, 12, 12)), np.eye(4), "scan.nii"))

    @pytest.mark.parametrize("kind", ["c8", "O", "U3"])
    def test_that_are_no_real_numbers(self, kind):
        image = Image(np.random.default_rng(0).random((1, 8, 8, 8)).astype(kind), np.eye(4), "scan.nii")
        assert re.fullmatch(r"scan.nii has voxels of type \S+; real numbers are needed.", refused(image))

    @pytest.mark.parametrize("channels", [0, 2, 3])
    def test_of_too_many_or_too_few_channels(self, channels):
        text = refused(noise((channels, 12, 12, 12)))
        assert text == f"The model hippocampus-t1 needs 1 input(s) (T1), and {channels} were given; give exactly these, in this order."


class TestRegion:
    @pytest.mark.parametrize("center", [(500, -30, 40), (20, 600, 40), (20, -30, -40)])
    def test_far_outside(self, center):
        text = refused(noise(axes=np.eye(3)), Region(center, (10, 10, 10)))
        assert text.startswith(
            f"The region around ({', '.join(map(str, center))}) holds no voxel of scan.nii, which spans R 14..26, A -36..-24, S 34..46 mm;"
        )

    def test_that_holds_no_voxel_is_refused_wherever_it_lies_and_every_other_works(self):
        """Beside an oblique image, across its corner, between its voxels, turned or not: the answer is that of the voxels themselves."""
        predictor = Predictor(intensity_model(), "cpu")
        image = noise((1, 6, 6, 6))
        places = centers(image.affine, image.shape)
        draw = np.random.default_rng(8)
        seen = {True: 0, False: 0}
        for turn in range(150):
            roi = Region(tuple(places.mean((0, 1, 2)) + draw.normal(0, 4, 3)), tuple(draw.uniform(0.3, 4, 3)), OBLIQUE.T if turn % 2 else np.eye(3))
            held = roi.contains(places)
            seen[bool(held.any())] += 1
            if held.any():
                assert not predictor(image, roi, attention=False).uncertainty.voxels[0][~held].any()
            else:
                with pytest.raises(InputError, match="holds no voxel of scan"):
                    check_input(image, roi, predictor.model.card)
        assert min(seen.values()) > 30

    def test_that_a_model_needs(self):
        view = {"kind": "region", "size_mm": [8, 6, 5]}
        text = refused(noise((1, 17, 12, 10), np.eye(3)), field_of_view=view)
        assert "needs a region of about 8 x 6 x 5 mm" in text
        assert "scan.nii is 17 x 12 x 10 mm large; give a region." in text
        assert Predictor(intensity_model(field_of_view=view), "cpu").check(noise((1, 16, 12, 10)))
        assert Predictor(intensity_model(field_of_view=view), "cpu").check(noise((1, 10, 16, 12)))


class TestRegionSize:
    """A note, not an error: the model knows regions of 20 x 40 x 10 mm."""

    def note(self, size, *axes):
        return region_note(Region((0, 0, 0), size, *axes), self.card())

    def card(self):
        return make_card(field_of_view={"kind": "region", "size_mm": [20, 40, 10]})

    @pytest.mark.parametrize("size", [(20, 40, 10), (SMALLEST_REGION * 20, 40, 10), (20, LARGEST_REGION * 40, LARGEST_REGION * 10)])
    def test_near_that_of_the_card_needs_no_word(self, size):
        assert self.note(size) == ""

    @pytest.mark.parametrize(
        ("size", "wrong"),
        [((3, 3, 3), "too small"), ((140, 140, 100), "too large"), ((40, 20, 10), "too small and too large"), ((20, 40, 25), "too large")],
    )
    def test_far_from_it_is_told_with_both_sizes(self, size, wrong):
        text = self.note(size)
        assert f"The region of {' x '.join(map(str, size))} mm is {wrong} for this model, trained on about 20 x 40 x 10 mm" in text

    def test_of_a_turned_box_counts_along_the_axes_that_its_edges_are_nearest_to(self):
        assert self.note((10, 20, 40), OBLIQUE @ np.eye(3)[:, [2, 0, 1]]) == ""
        assert "region of 40 x 20 x 10 mm" in self.note((10, 40, 20), OBLIQUE @ np.eye(3)[:, [2, 0, 1]])

    def test_is_no_matter_for_models_of_whole_scans(self):
        assert region_note(Region((0, 0, 0), (1, 1, 1)), make_card()) == ""
        assert region_note(None, self.card()) == ""

    def test_is_noted_on_the_prediction(self):
        image = noise((1, 30, 30, 30), np.eye(3))
        predictor = Predictor(intensity_model(field_of_view={"kind": "region", "size_mm": [20, 20, 20]}), "cpu")
        large, right = (predictor(image, Region(tuple(image.to_ras((14.5,) * 3)), (size,) * 3), attention=False).notes for size in (200, 20))
        assert ["too large" in note for note in large] == [True]
        assert right == ()


class TestNames:
    @pytest.mark.parametrize("wanted", ["gate_9", ["gate_2", "gate_9"], [""], ["Gate_9"]])
    def test_of_a_map_that_the_model_lacks(self, wanted):
        with pytest.raises(InputError) as caught:
            Predictor(intensity_model(), "cpu").check(noise(), attention=wanted)
        assert re.fullmatch(r"The model hippocampus-t1 has no attention map '(Gate_9|gate_9|)'; it has gate_2, gate_3\.", sentence(caught))

    def test_of_maps_that_it_has(self):
        predictor = Predictor(intensity_model(), "cpu")
        for wanted, names in [
            (True, ["gate_2", "gate_3"]),
            (False, []),
            ([], []),
            ("gate_3", ["gate_3"]),
            (["gate_3", "gate_2", "gate_3"], ["gate_3", "gate_2"]),
        ]:
            assert predictor.check(noise(), attention=wanted) == names

    def test_of_an_attention_grid(self):
        with pytest.raises(InputError, match=r"no attention grid 'patient'; choose one of network, input\."):
            Predictor(intensity_model(), "cpu")(noise(), attention_grid="patient")

    @pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "CPU"])
    def test_of_a_device_that_is_not_there(self, name):
        with pytest.raises(InputError) as caught:
            Predictor(intensity_model(), name)
        assert re.fullmatch(rf"There is no device '{name}' on this computer; choose auto, .*cpu\.", sentence(caught))

    def test_of_devices_that_are_there(self):
        names = available_devices()
        assert names[-1] == "cpu"
        for name in names:
            assert str(choose_device(name)) == name
        assert str(choose_device("auto")) == names[0]

    @pytest.mark.parametrize("overlap", [-0.1, 0.91, 50, float("nan")])
    def test_of_an_overlap_out_of_range(self, overlap):
        with pytest.raises(InputError) as caught:
            Predictor("no such model", "cpu", overlap=overlap)
        assert sentence(caught) == f"The overlap of patches is {overlap:g}; give a number from 0 to 0.9, such as 0.5 for half of a patch."

    def test_of_a_model(self, tmp_path):
        with pytest.raises(InputError, match=r"There is no model '.*'; .*\."):
            Predictor(tmp_path / "nowhere")
