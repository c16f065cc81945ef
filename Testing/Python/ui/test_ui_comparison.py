"""The last result against a reference: what the section shows, what the console gives, and what `evaluate` measures of the same voxels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.evaluation.definitions import METRICS
from AttentionSegLib.evaluation.metrics import case_metrics
from AttentionSegLib.image import Image
from AttentionSegLib.ui.comparison import compare_segmentations
from AttentionSegLib.ui.comparison_presenter import ComparisonPresenter
from doubles import Application, InstallationDouble, PanelDouble
from scenes import AFFINES, linear_transform, put_under, rigid
from segment_scenes import make_segmentation

NAMES = ("Hippocampus anterior", "Hippocampus posterior")


def lumps(shape=(16, 16, 16)):
    """Label values [I, J, K] of two structures."""
    labels = np.zeros(shape, np.uint8)
    labels[3:8, 3:12, 4:12], labels[8:13, 3:12, 4:12] = 1, 2
    return labels


def segmentation_of(scene, labels, affine=AFFINES["oblique"], name="Reference", names=NAMES):
    return make_segmentation(scene, {segment: labels == value for value, segment in enumerate(names, start=1)}, affine, name)


class TestNumbers:
    @pytest.mark.parametrize("affine", ["oblique", "anisotropic", "left-handed"])
    def test_are_those_of_evaluate(self, scene, affine):
        """Also where the reference stands under nested transforms, and has another order of segments."""
        found, true = lumps(), np.roll(lumps(), (1, -1, 2), (0, 1, 2))
        pose, outer = rigid(10, 20, 30, (5, -6, 7)), rigid(-40, 3, 9, (50, 0, -20))
        result = segmentation_of(scene, found, outer @ pose @ AFFINES[affine], "Result")
        reference = segmentation_of(scene, np.array([0, 2, 1], np.uint8)[true], AFFINES[affine], names=NAMES[::-1])
        put_under(reference, linear_transform(scene, pose, linear_transform(scene, outer)))
        expected = case_metrics(*(Image(labels[None], AFFINES[affine]) for labels in (found, true)), [1, 2])
        keys = [metric.key for metric in METRICS]
        rows = compare_segmentations(result, reference).rows
        assert [row.name for row in rows] == list(NAMES)
        for row, numbers in zip(rows, expected):
            assert row.dice == pytest.approx(numbers[keys.index("dice")])
            assert row.hausdorff_95_mm == pytest.approx(numbers[keys.index("hausdorff_95_mm")])
            assert 100 * (row.milliliters / row.reference_milliliters - 1) == pytest.approx(numbers[keys.index("volume_error_percent")], abs=1e-9)

    def test_of_a_shift_by_one_voxel(self, scene):
        """5 x 9 x 8 voxels of 1.5 x 0.75 x 2.25 mm, of which 4 x 9 x 8 are in both."""
        result, reference = (segmentation_of(scene, labels, AFFINES["RAS"]) for labels in (lumps(), np.roll(lumps(), 1, 0)))
        row = compare_segmentations(result, reference).rows[0]
        assert row.dice == pytest.approx(0.8)
        assert row.hausdorff_95_mm == pytest.approx(1.5)
        assert row.milliliters == row.reference_milliliters == pytest.approx(360 * 1.5 * 0.75 * 2.25 / 1000)

    def test_of_a_structure_that_only_one_has(self, scene):
        found = lumps()
        result, reference = segmentation_of(scene, found, name="Result"), segmentation_of(scene, found * (found != 2))
        row = compare_segmentations(result, reference).rows[1]
        assert (row.dice, row.reference_milliliters) == (0, 0)
        assert math.isnan(row.hausdorff_95_mm)
        assert row.milliliters > 0


class ComparisonApplication(Application):
    """A presenter of comparisons beside that of runs."""

    def __init__(self, scene, view, installation=None):
        super().__init__(scene)
        self.compared = view
        self.comparison = ComparisonPresenter(view, self.settings, installation or InstallationDouble(), self.keep_polling)

    def on_result(self, result):
        super().on_result(result)
        self.settings.result_segmentation = result.segmentation
        self.comparison.set_result()

    def compare(self):
        self.comparison.press()
        self.wait()


@pytest.fixture
def app(scene):
    return ComparisonApplication(scene, PanelDouble())


@pytest.fixture
def result(app):
    app.choose()
    return app.run()


def reference_of(scene, result, **names):
    """What was found, as another segmentation."""
    labels = result.prediction.labels
    return segmentation_of(scene, labels.voxels[0], labels.affine, **names)


class TestPresenter:
    def test_there_is_nothing_to_compare_before_a_result(self, app):
        assert not app.compared.shown.there_is_a_result
        assert app.compared.shown.reason == "Segment a volume first."

    def test_what_is_missing_or_wrong_greys_the_button(self, app, result):
        assert app.compared.shown.there_is_a_result
        assert app.compared.shown.reason == "Choose a segmentation to compare the result with."
        app.comparison.choose_reference(result.segmentation)
        assert app.compared.shown.reason == "This is the result itself: choose another segmentation."
        app.comparison.choose_reference(reference_of(app.scene, result))
        assert app.compared.shown.reason == ""

    def test_compares_in_a_thread(self, app, result):
        app.comparison.choose_reference(reference_of(app.scene, result, names=(NAMES[0].upper(), "Cyst")))
        app.comparison.press()
        assert app.comparison.state.running
        app.wait()
        shown = app.compared.shown
        milliliters = f"{result.statistics[0].milliliters:.3f}"
        assert shown.rows == ((NAMES[0], "1.000", "0.00", milliliters, milliliters),)
        assert shown.message == f"Only in the result: {NAMES[1]}. Only in the reference: Cyst."
        assert app.comparison.table_text().splitlines()[1] == f"{NAMES[0]}\t1.000\t0.00\t{milliliters}\t{milliliters}"

    def test_bad_input_is_a_sentence(self, app, result):
        app.comparison.choose_reference(reference_of(app.scene, result, names=("Cyst", "Stem")))
        app.compare()
        assert "no name is in both" in app.compared.shown.message
        assert app.compared.shown.rows == ()

    @pytest.mark.parametrize("change", ["another result", "another reference", "no reference", "no result"])
    def test_numbers_go_with_what_they_are_of(self, app, result, change):
        reference = reference_of(app.scene, result)
        app.comparison.choose_reference(reference)
        app.compare()
        assert len(app.compared.shown.rows) == 2
        if change == "another result":
            app.run()
        elif change == "another reference":
            app.comparison.choose_reference(reference_of(app.scene, result))
        else:
            app.scene.RemoveNode(reference if change == "no reference" else result.segmentation)
            app.comparison.refresh()
        assert app.compared.shown.rows == ()
        assert app.comparison.table_text() == ""

    def test_cancelled(self, app, result):
        app.comparison.choose_reference(reference_of(app.scene, result))
        app.comparison.press()
        app.comparison.press()
        app.wait()
        assert app.compared.shown.state.value == "cancelled"
        assert app.compared.shown.rows == ()

    def test_what_it_needs_is_installed_first(self, scene):
        app = ComparisonApplication(scene, PanelDouble(), InstallationDouble(["monai"]))
        app.choose()
        app.comparison.choose_reference(reference_of(scene, app.run()))
        app.compare()
        assert app.compared.questions == ["Install monai?"]
        assert len(app.compared.shown.rows) == 2


def test_refused_in_the_console(scene):
    result = segmentation_of(scene, lumps(), name="Result")
    with pytest.raises(InputError, match="Result was given both as the result and as the reference"):
        compare_segmentations(result, result)
