"""What cannot be measured is refused in one sentence, before any work and without a trace."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.evaluation import evaluate
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from builders import make_card_document
from labelled_scans import AFFINE, SHAPE, everything_in, truth, write_cases
from tiny_models import intensity_model


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    return write_cases(tmp_path, "ab")


def refused(folders: tuple[Path, Path], model=None, **more: object) -> str:
    """The sentence; no case was begun and nothing lies around."""
    parent = folders[0].parent
    before, stages = everything_in(parent), []
    more = {**more, "device": "cpu", "on_progress": lambda _fraction, stage, _seconds: stages.append(stage)}
    with pytest.raises(InputError) as raised:
        evaluate(model or intensity_model(), *folders, parent / "new" / "results", **more)
    assert everything_in(parent) == before
    assert set(stages) <= {"check"}
    text = str(raised.value)
    assert re.fullmatch(r"[^\n]+[;:] [^\n]+\.", text)
    return text


class TestPairs:
    def test_what_has_no_partner_is_named(self, folders):
        (folders[1] / "b.nrrd").rename(folders[1] / "z.nrrd")
        text = refused(folders)
        assert f"The scans in {folders[0]} and the label maps in {folders[1]} do not pair: no label map of b, no scan of z;" in text

    def test_only_some_of_many_are_named(self, folders):
        for n in range(9):
            write_map(Image(truth("a")[None], AFFINE), folders[1] / f"more{n}.nrrd")
        assert "no scan of more4 and 4 more;" in refused(folders)

    def test_two_files_of_one_name(self, folders):
        write_map(Image(truth("a")[None], AFFINE), folders[1] / "a.nii.gz")
        assert "has both a.nii.gz and a.nrrd" in refused(folders)

    def test_no_scan_at_all(self, tmp_path):
        folders = tmp_path / "images", tmp_path / "labels"
        for folder in folders:
            folder.mkdir()
            (folder / "notes.txt").write_text("not a scan")
            (folder / "._a.nii.gz").write_text("not a scan either")
        assert f"There is no scan in {folders[0]};" in refused(folders)

    def test_no_folder(self, folders):
        assert f"There is no folder {folders[0] / 'none'};" in refused((folders[0] / "none", folders[1]))


class TestSplit:
    @pytest.fixture
    def split(self, folders) -> Path:
        path = folders[0].parent / "split.csv"
        path.write_text("id,role\na,train\nb,val\n")
        return path

    def test_unknown_role(self, folders, split):
        assert f"The split {split} has no case of the role 'test', but of train, val; choose one of these." in refused(
            folders, split=split, role="test"
        )

    def test_missing_column(self, folders, split):
        split.write_text("id,part\na,train\nb,val\n")
        assert "give a CSV file with the columns id and role" in refused(folders, split=split, role="val")

    def test_missing_scan(self, folders, split):
        (folders[0] / "b.nii.gz").unlink()
        assert f"There is no scan of case b in {folders[0]};" in refused(folders, split=split, role="val")

    def test_one_without_the_other(self, folders, split):
        assert "was given without a role; give both" in refused(folders, split=split)
        assert "was given without a split; give both" in refused(folders, role="val")


class TestFiles:
    def rewrite(self, folders: tuple[Path, Path], voxels: np.ndarray, affine: np.ndarray = AFFINE) -> None:
        """Put another label map in the place of that of the last case."""
        write_map(Image(voxels[None], affine), folders[1] / "b.nrrd")

    def test_labels_outside_of_the_scan(self, folders):
        self.rewrite(folders, np.pad(truth("b"), ((0, 1), (0, 0), (0, 0)), constant_values=1))
        assert f"288 of 832 labeled voxels of {folders[1] / 'b.nrrd'} lie outside of " in refused(folders)

    def test_another_place(self, folders):
        moved = AFFINE.copy()
        moved[2, 3] += 0.2
        self.rewrite(folders, truth("b"), moved)
        assert "lie up to 0.2 mm apart: " in refused(folders)

    def test_a_hair_beside_is_the_same_place(self, folders, tmp_path):
        moved = AFFINE.copy()
        moved[2, 3] += 0.0005
        self.rewrite(folders, truth("b"), moved)
        assert evaluate(intensity_model(), *folders, tmp_path / "results", device="cpu").scores.cases == ("a", "b")

    @pytest.mark.parametrize(("values", "named"), [([3, 7], "(3, 7)"), (range(3, 11), "(3, 4, 5, 6, 7, ...)")])
    def test_unknown_labels(self, folders, values, named):
        voxels = truth("b").astype(np.float32)
        voxels[0, 0, : len(values)] = values
        self.rewrite(folders, voxels)
        text = refused(folders)
        assert f"{folders[1] / 'b.nrrd'} has label values that the model hippocampus-t1 does not know {named}, only 0 background, " in text
        assert "1 Hippocampus anterior, 2 Hippocampus posterior; read it as a label (--label-map 3=1), or ignore it (--ignored-label 3)" in text

    def test_every_case_is_named_at_once(self, folders):
        for case in "ab":
            write_map(Image(np.full((1, *SHAPE), 9.0), AFFINE), folders[1] / f"{case}.nrrd")
        text = refused(folders)
        assert text.startswith("The model cannot be measured; 2 problem(s): ")
        assert all(f"{case}.nrrd has label values that " in text for case in "ab")

    def test_a_scan_that_cannot_be_segmented(self, folders):
        write_map(Image(np.full((1, *SHAPE), 7.0), AFFINE), folders[0] / "b.nii.gz")
        assert "has the same intensity (7) everywhere" in refused(folders)

    def test_a_scan_larger_than_the_region_of_the_model(self, folders):
        model = intensity_model(field_of_view={"kind": "region", "size_mm": [9, 9, 9]})
        assert "needs a region of about 9 x 9 x 9 mm" in refused(folders, model)


class TestModels:
    def test_fewer_channels_than_inputs(self, folders):
        entry = make_card_document()["inputs"][0]
        assert "needs 2 input(s) (T1, T2), and 1 were given;" in refused(folders, intensity_model(inputs=[entry, {**entry, "name": "T2"}]))

    def test_a_label_called_mean(self, folders):
        first, second = make_card_document()["labels"]
        assert "has a label called 'mean'" in refused(folders, intensity_model(labels=[{**first, "name": "mean"}, second]))

    def test_other_labels(self, folders):
        labels = make_card_document()["labels"]
        other = intensity_model(id="other", labels=[{**labels[0], "name": "Liver"}, labels[1]])
        assert "other (Liver, Hippocampus posterior) do not have the same labels" in refused(folders, compare=other)

    def test_unknown(self, folders):
        assert "nowhere" in refused(folders, "nowhere")


class TestOutput:
    @pytest.mark.parametrize("name", ["report.html", "metrics.csv", "summary.json", "comparison.json"])
    def test_an_earlier_evaluation_is_kept(self, folders, tmp_path, name):
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / name).write_text("old")
        before = everything_in(tmp_path)
        with pytest.raises(InputError, match=rf"The folder .*old contains an earlier evaluation \({name}\); choose another"):
            evaluate(intensity_model(), *folders, tmp_path / "old")
        assert everything_in(tmp_path) == before

    def test_a_file_in_the_place_of_the_folder(self, folders, tmp_path):
        (tmp_path / "taken").write_text("mine")
        with pytest.raises(InputError, match=r"The output folder .*taken cannot be used"):
            evaluate(intensity_model(), *folders, tmp_path / "taken")
        assert (tmp_path / "taken").read_text() == "mine"
