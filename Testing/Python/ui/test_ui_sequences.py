"""A volume that shows a frame of a sequence: all frames by one click, and a word where another frame is shown than the result is of."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.errors import InputError
from AttentionSegLib.ui.segmenter import Options, Segmenter
from AttentionSegLib.ui.sequence_run import SegmentedSequence, start_sequence
from doubles import SHAPE, make_scan
from scenes import linear_transform, nodes_of, put_under, rigid
from sequence_scenes import make_sequence

FRAMES = 3


@pytest.fixture
def beats(scene):
    return make_sequence(scene, FRAMES, SHAPE)


@pytest.fixture
def volume(app, beats):
    sequence, browser = beats
    return app.choose(volume=browser.GetProxyNode(sequence))


class TestChoice:
    def test_is_offered_for_the_frame_of_a_sequence_alone(self, app, volume):
        assert app.view.shown.frames == FRAMES
        assert not app.view.shown.all_frames
        app.presenter.choose_input(0, make_scan(app.scene))
        assert app.view.shown.frames == 0

    def test_left_out_one_frame_is_segmented(self, app, volume):
        assert app.run().volume is volume

    def test_does_not_hold_for_a_volume_of_its_own(self, app, volume):
        app.presenter.set_all_frames(True)
        app.presenter.choose_input(0, make_scan(app.scene))
        assert not isinstance(app.run(), SegmentedSequence)


class TestAllFrames:
    @pytest.fixture
    def result(self, app, volume):
        put_under(volume, linear_transform(app.scene, rigid(10, 20, 30, (5, -6, 7))))
        app.presenter.set_all_frames(True)
        app.presenter.press()
        assert app.view.shown.state.running
        app.wait()
        assert app.view.shown.state.value == "done", app.view.shown.message
        return app.results[-1]

    def test_follow_the_browser_of_the_volume(self, app, beats, volume, result):
        _sequence, browser = beats
        assert result.sequence.GetNumberOfDataNodes() == FRAMES
        assert result.segmentation.GetTransformNodeID() == volume.GetTransformNodeID()
        name = result.statistics[0][1].name
        segment_id = result.segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
        for frame in (2, 0, 1):
            browser.SetSelectedItemNumber(frame)
            found = slicer.util.arrayFromSegmentBinaryLabelmap(result.segmentation, segment_id, volume)
            assert np.count_nonzero(found) == result.statistics[frame][1].voxels
            assert app.view.shown.hints == ()

    def test_are_each_what_a_run_of_the_frame_alone_gives(self, app, beats, volume, result):
        _sequence, browser = beats
        browser.SetSelectedItemNumber(1)
        app.presenter.set_all_frames(False)
        assert app.run().statistics == result.statistics[1]

    def test_the_message_says_how_many_and_which_the_table_is_of(self, app, result):
        assert app.view.shown.message.startswith(f"{FRAMES} frames done in ")
        assert "the table is that of frame 1." in app.view.shown.message

    def test_progress_goes_up_over_all_frames(self, app, result):
        fractions = [fraction for fraction, _text in app.view.progress if fraction is not None]
        assert fractions == sorted(fractions)
        texts = " ".join(text for _fraction, text in app.view.progress)
        assert "Frame 3 of 3" in texts

    def test_cancelled_nothing_is_left(self, app, volume):
        nodes = nodes_of(app.scene)
        app.presenter.set_all_frames(True)
        app.presenter.press()
        app.polls[0]()
        app.presenter.press()
        app.wait()
        assert app.view.shown.state.value == "cancelled"
        assert nodes_of(app.scene) == nodes

    def test_a_frame_that_cannot_be_used_is_told_and_nothing_is_left(self, app, beats, volume):
        sequence, _browser = beats
        blank = slicer.util.arrayFromVolume(sequence.GetNthDataNode(1))
        blank[:] = 0
        nodes = nodes_of(app.scene)
        app.presenter.set_all_frames(True)
        app.presenter.press()
        app.wait()
        assert "Beats frame 2 has the same intensity (0) everywhere" in app.view.shown.message
        assert nodes_of(app.scene) == nodes

    def test_of_a_volume_of_its_own(self, scene):
        with pytest.raises(InputError, match="T1 shows no frame of a sequence"):
            start_sequence(Segmenter(), Options("tiny-unet"), make_scan(scene))


def test_a_step_to_another_frame_is_told_and_back_again_not(app, beats, volume):
    _sequence, browser = beats
    result = app.run()
    app.settings.result_volume, app.settings.result_segmentation = result.volume, result.segmentation
    app.presenter.refresh()
    assert app.view.shown.hints == ()
    browser.SetSelectedItemNumber(2)
    assert app.view.shown.hints == ("Beats shows frame 3 of 3; the result is that of frame 1.",)
    browser.SetSelectedItemNumber(0)
    assert app.view.shown.hints == ()


def test_a_region_that_is_drawn_smaller_is_told_at_once(app):
    app.choose("hippocampus-mr-attention-unet", make_scan(app.scene, shape=(150, 150, 150)))
    region = app.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    region.SetSize(36, 52, 36)
    app.presenter.choose_region(region)
    assert app.view.shown.hints == ()
    region.SetSize(3, 3, 3)
    assert "The region of 3 x 3 x 3 mm is too small" in app.view.shown.hints[0]
    shown = len(app.view.all)
    region.SetCenterWorld(1, 2, 3)
    assert len(app.view.all) == shown
    app.presenter.unfollow()
    region.SetSize(36, 52, 36)
    assert len(app.view.all) == shown
