"""Which cases a batch finds, and what it calls them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import SimpleITK
from AttentionSegLib.batch.cohort import find_cases
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image, write_map, write_segmentation
from AttentionSegLib.image import Image
from AttentionSegLib.reporting.sheet import Sheet
from batch_scans import write_dicom
from PIL import Image as Pillow
from tiny_models import AS_IT_IS, make_card

ONE = make_card()
TWO = make_card(inputs=[{"name": name, "modality": "MR", "normalization": AS_IT_IS} for name in ("T1", "FLAIR")])


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def names(cohort) -> list[str]:
    return [case.name for case in cohort.cases]


def inputs(cohort, root: Path) -> dict[str, list[str]]:
    return {case.name: [Path(path).relative_to(root).as_posix() for path in case.inputs] for case in cohort.cases}


class TestFolder:
    def test_every_volume_is_a_case(self, tmp_path):
        touch(tmp_path, "b.nii.gz", "a.nrrd", "c.mha", "d.NII", "e.nhdr", "notes.txt", ".hidden.nii", "a b/deep.nii")
        assert names(find_cases(tmp_path, ONE)) == ["a", "b", "c", "d", "e"]

    def test_subfolders_when_asked_for(self, tmp_path):
        touch(tmp_path, "a.nii", "s 1/x.nii.gz", "s 2/x.nii.gz", ".cache/y.nii")
        assert inputs(find_cases(tmp_path, ONE, recursive=True), tmp_path) == {
            "a": ["a.nii"],
            "s_1__x": ["s 1/x.nii.gz"],
            "s_2__x": ["s 2/x.nii.gz"],
        }

    def test_a_pattern_chooses(self, tmp_path):
        touch(tmp_path, "a_T1.nii.gz", "a_T2.nii.gz", "b_T1.nii")
        assert names(find_cases(tmp_path, ONE, pattern="*_T1.nii*")) == ["a_T1", "b_T1"]

    def test_results_of_a_batch_and_segmentations_are_no_scans(self, tmp_path):
        touch(tmp_path, "a.nii", "a.seg.nrrd", "out/cases/a/a.nii", "older/b.nii", "older/cases/b.nii")
        (tmp_path / "older" / "manifest.jsonl").write_text('{"case": "b", "weights_sha256": "w"}\n')
        cohort = find_cases(tmp_path, ONE, tmp_path / "out", recursive=True)
        assert names(cohort) == ["a"]
        assert {(Path(one.path).name, one.reason) for one in cohort.skipped} == {
            ("a.seg.nrrd", "a segmentation, not a scan"),
            ("older", "results of a batch"),
        }

    def test_a_manifest_of_another_program_hides_no_scan(self, tmp_path):
        touch(tmp_path, "manifest.jsonl", "b.nii")
        assert names(find_cases(tmp_path, ONE)) == ["b"]

    @pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
    def test_own_results_are_known_by_their_content(self, tmp_path, ending):
        image = Image(np.random.default_rng(0).random((1, 4, 4, 4)), np.eye(4))
        write_map(image, tmp_path / f"scan_map{ending}")
        write_map(image, tmp_path / f"renamed{ending}", "gate_2", ONE)
        write_segmentation(Image(np.ones((1, 4, 4, 4), np.uint8), np.eye(4)), ONE, tmp_path / f"labels{ending.replace('.nrrd', '.seg.nrrd')}")
        cohort = find_cases(tmp_path, ONE)
        assert names(cohort) == ["scan_map"]
        assert sorted(one.reason for one in cohort.skipped) == ["a segmentation by AttentionSeg", "the map gate_2 of AttentionSeg"]

    def test_own_results_that_were_converted_are_known(self, tmp_path):
        write_map(Image(np.random.default_rng(0).random((1, 4, 4, 4)), np.eye(4)), tmp_path / "map.nrrd", "gate_2", ONE)
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / "map.nrrd")), str(tmp_path / "a.mha"))
        (tmp_path / "map.nrrd").unlink()
        touch(tmp_path, "b.mha")
        assert names(find_cases(tmp_path, ONE)) == ["b"]

    def test_pictures_for_a_model_of_volumes_are_listed(self, tmp_path):
        Sheet(20, 20).save(tmp_path / "own.png")
        Pillow.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "photo.png")
        touch(tmp_path, "a.nii")
        cohort = find_cases(tmp_path, ONE)
        assert names(cohort) == ["a"]
        assert sorted(one.reason for one in cohort.skipped) == ["a picture by AttentionSeg", "a picture, where the model takes volumes"]

    def test_archives_are_listed(self, tmp_path):
        touch(tmp_path, "a.nii", "series.zip")
        assert [one.reason for one in find_cases(tmp_path, ONE).skipped] == ["an archive; unpack it first"]

    def test_one_scan(self, tmp_path):
        touch(tmp_path, "a b.nii.gz")
        assert names(find_cases(tmp_path / "a b.nii.gz", ONE)) == ["a_b"]


class TestNames:
    def test_of_two_that_would_be_one_end_in_a_check_sum(self, tmp_path):
        touch(tmp_path, "a.nii", "a.nrrd", "A.mha", "b c.nii", "b_c.nii", "d.nii")
        found = names(find_cases(tmp_path, ONE))
        assert len({name.casefold() for name in found}) == 6
        assert {name.rpartition("-")[0].casefold() or name for name in found} == {"a", "b_c", "d"}
        assert found == names(find_cases(tmp_path, ONE))

    def test_stay_what_they_are_when_the_folder_moves(self, tmp_path):
        before = names(find_cases(touch(tmp_path / "x", "a.nii", "a.nrrd"), ONE))
        (tmp_path / "x").rename(tmp_path / "y")
        assert names(find_cases(tmp_path / "y", ONE)) == before

    def test_leave_room_for_what_is_added_to_them(self, tmp_path):
        long = "ä" * 110
        touch(tmp_path, f"{long} 1.nii.gz", f"{long} 2.nii.gz", "é" * 30 + ".nii.gz")
        found = names(find_cases(tmp_path, ONE))
        assert all(len(name.encode()) <= 120 for name in found)
        assert len(set(found)) == 3
        assert "é" * 30 in found


class TestChannels:
    def test_belong_together_by_their_names(self, tmp_path):
        touch(tmp_path, "b_0001.nii.gz", "b_0000.nii.gz", "a_0000.nii.gz", "a_0001.nii.gz", "other.nii.gz")
        found = find_cases(tmp_path, TWO, channels="{case}_0000.nii.gz, {case}_0001.nii.gz")
        assert inputs(found, tmp_path) == {"a": ["a_0000.nii.gz", "a_0001.nii.gz"], "b": ["b_0000.nii.gz", "b_0001.nii.gz"]}

    def test_of_a_case_in_its_own_folder(self, tmp_path):
        touch(tmp_path, "p1/T1.nii", "p1/FLAIR.nii", "p2/FLAIR.nii", "p2/T1.nii", "p2/p3/T1.nii")
        found = find_cases(tmp_path, TWO, channels="{case}/T1.nii,{case}/FLAIR.nii")
        assert inputs(found, tmp_path) == {"p1": ["p1/T1.nii", "p1/FLAIR.nii"], "p2": ["p2/T1.nii", "p2/FLAIR.nii"]}

    def test_capitals_in_an_ending_make_no_difference(self, tmp_path):
        touch(tmp_path, "a_0000.NII.GZ", "a_0001.nii.gz", "A_0001.NII.gz", "A_0000.nii.GZ")
        found = find_cases(tmp_path, TWO, channels="{case}_0000.nii.gz,{case}_0001.NII.GZ")
        assert sorted(inputs(found, tmp_path).values()) == [["A_0000.nii.GZ", "A_0001.NII.gz"], ["a_0000.NII.GZ", "a_0001.nii.gz"]]
        assert len(names(find_cases(tmp_path, ONE, pattern="*_0000.nii.gz"))) == 2

    def test_that_are_missing_are_told(self, tmp_path):
        touch(tmp_path, "a_0000.nii", "a_0001.nii", "b_0000.nii")
        a, b = find_cases(tmp_path, TWO, channels="{case}_0000.nii,{case}_0001.nii").cases
        assert (a.problem, b.problem) == (None, "The case b has no FLAIR scan (b_0001.nii); add it.")

    @pytest.mark.parametrize("channels", ["{case}.nii", "{case}_0.nii,{case}_0.nii", "a.nii,{case}.nii"])
    def test_that_do_not_fit_the_model(self, tmp_path, channels):
        with pytest.raises(InputError, match=r"are not 2 file name\(s\) with {case}, one for each input of hippocampus-t1 \(T1, FLAIR\)"):
            find_cases(touch(tmp_path, "a.nii"), TWO, channels=channels)

    def test_cannot_be_guessed(self, tmp_path):
        with pytest.raises(InputError, match=r"needs 2 scans of a case \(T1, FLAIR\); say which belong together"):
            find_cases(touch(tmp_path, "a.nii"), TWO)


class TestTable:
    def test_with_a_column_per_channel(self, tmp_path):
        (tmp_path / "list.csv").write_text('case,t1,FLAIR,region\nZoë,x/1.nii,x/2.nii,"1,2,3,4,5,6"\n,a.nii,b.nii,\n', encoding="utf-8-sig")
        named, unnamed = sorted(find_cases(tmp_path / "list.csv", TWO).cases, key=lambda case: case.region is None)
        assert (named.name, named.inputs) == ("Zoë", (tmp_path / "x/1.nii", tmp_path / "x/2.nii"))
        assert (named.region.center, named.region.size) == ((1, 2, 3), (4, 5, 6))
        assert (unnamed.name, unnamed.inputs) == ("a", (tmp_path / "a.nii", tmp_path / "b.nii"))

    def test_lines_that_cannot_be_used_are_cases_with_a_problem(self, tmp_path):
        (tmp_path / "list.csv").write_text("image;region\n/data/a.nii;\n;0,0,0,9,9,9\nb.nii;1,2\n;0,0,0,9,9,9\n")
        found = {case.name: case.problem for case in find_cases(tmp_path / "list.csv", ONE).cases}
        assert found["a"] is None
        assert found["line_3"] == "Line 3 of the table has no path in the column 'image'; add it, or take the line out."
        assert "line_5" in found
        assert found["b"].startswith("The region '1,2' is not six numbers")

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("case\timage\nMüller\ta.nii\n", "utf-8"),
            ("case\timage\r\nMüller\ta.nii\r\n", "utf-16"),
            ("case;image\r\nMüller;a.nii\r\n", "cp1252"),
            ("sep=;\r\ncase;image\r\n\r\nMüller;a.nii\r\n;\r\n\r\n", "utf-8-sig"),
            ('"sep=;";\r\ncase;image\r\nMüller;a.nii\r\n', "cp1252"),
            ('"a, b, c";image;case\n1;a.nii;"Müller"\n', "utf-8"),
            ("\n , \ncase, image\n,\nMüller, a.nii\n", "utf-8"),
        ],
    )
    def test_as_a_spreadsheet_saves_it(self, tmp_path, text, encoding):
        (tmp_path / "list.csv").write_bytes(text.encode(encoding))
        cases = find_cases(tmp_path / "list.csv", ONE).cases
        assert [(case.name, case.inputs) for case in cases] == [("Müller", (tmp_path / "a.nii",))]

    def test_paths_with_the_separators_of_windows(self, tmp_path):
        touch(tmp_path, "sub/a.nii")
        (tmp_path / "list.csv").write_text("case,image\n,sub\\a.nii\n")
        assert inputs(find_cases(tmp_path / "list.csv", ONE), tmp_path) == {"a": ["sub/a.nii"]}

    def test_a_case_that_stands_in_it_twice_is_run_once(self, tmp_path):
        (tmp_path / "list.csv").write_text("case,image\na,x.nii\na,x.nii\na,y.nii\n")
        cohort = find_cases(tmp_path / "list.csv", ONE)
        assert sorted(case.inputs[0].name for case in cohort.cases) == ["x.nii", "y.nii"]
        assert len(set(names(cohort))) == 2
        assert [(one.path, one.reason) for one in cohort.skipped] == [("a", "the same scans again")]

    def test_without_a_column_for_an_input(self, tmp_path):
        (tmp_path / "list.csv").write_text("case,T1\na,x.nii\n")
        with pytest.raises(InputError, match="has no column 'FLAIR', only case, t1; add it"):
            find_cases(tmp_path / "list.csv", TWO)


class TestBids:
    @pytest.fixture
    def tree(self, tmp_path) -> Path:
        anatomy = [f"sub-0{n}/ses-a/anat/sub-0{n}_ses-a_{suffix}.nii.gz" for n in (1, 2) for suffix in ("T1w", "FLAIR", "T2w")]
        return touch(tmp_path, "dataset_description.json", "derivatives/x/sub-01_T1w.nii.gz", "sub-03/anat/sub-03_T1w.nii", *anatomy)

    def test_by_the_suffix_of_the_input(self, tree):
        assert inputs(find_cases(tree, ONE), tree) == {
            "sub-01_ses-a": ["sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz"],
            "sub-02_ses-a": ["sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz"],
            "sub-03": ["sub-03/anat/sub-03_T1w.nii"],
        }

    def test_scans_of_several_inputs_belong_together(self, tree):
        cases = find_cases(tree, TWO).cases
        assert [path.name for path in cases[0].inputs] == ["sub-01_ses-a_T1w.nii.gz", "sub-01_ses-a_FLAIR.nii.gz"]
        assert cases[2].problem == "The case sub-03 has no sub-03_FLAIR.nii.gz; add it."

    @pytest.mark.parametrize("suffix", ["ct", "CT"])
    def test_both_ways_to_write_ct(self, tmp_path, suffix):
        tree = touch(tmp_path, "dataset_description.json", f"sub-1/ct/sub-1_{suffix}.nii.gz")
        model = make_card(inputs=[{"name": "CT", "modality": "CT", "normalization": AS_IT_IS}])
        assert names(find_cases(tree, model)) == ["sub-1"]

    def test_an_input_that_names_no_suffix(self, tree):
        odd = make_card(inputs=[{"name": "ADC", "modality": "MR", "normalization": AS_IT_IS}])
        with pytest.raises(InputError, match="'ADC' of hippocampus-t1 matches no BIDS suffix"):
            find_cases(tree, odd)


class TestDicom:
    def test_series_of_the_modality_are_cases_and_localizers_and_others_are_listed(self, tmp_path):
        voxels = {name: write_dicom(tmp_path / "scan", seed, **tags) for seed, (name, tags) in enumerate(self.SERIES.items())}
        cohort = find_cases(tmp_path, ONE, recursive=True)
        assert names(cohort) == ["scan__3_T1_axial", "scan__4"]
        np.testing.assert_array_equal(read_image(cohort.cases[0].inputs[0]).voxels[0], voxels["T1"])
        np.testing.assert_array_equal(read_image(cohort.cases[1].inputs[0]).voxels[0], voxels["other"])
        assert {one.reason for one in cohort.skipped} == {"a localizer", "CT, where the model takes MR"}
        assert all(one.path.startswith("scan") for one in cohort.skipped)

    SERIES: ClassVar = {
        "T1": {"Modality": "MR", "SeriesNumber": 3, "SeriesDescription": "T1 axial"},
        "other": {"Modality": "MR", "SeriesNumber": 4},
        "scout": {"Modality": "MR", "SeriesNumber": 1, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        "CT": {"Modality": "CT", "SeriesNumber": 2},
    }

    def test_a_series_alone_is_called_after_its_folder(self, tmp_path):
        write_dicom(tmp_path / "Müller" / "T1", 0, Modality="MR")
        assert names(find_cases(tmp_path, ONE, recursive=True)) == ["Müller__T1"]
        assert names(find_cases(tmp_path / "Müller" / "T1", ONE)) == ["T1"]

    def test_a_damaged_slice_is_a_problem_of_its_series(self, tmp_path):
        write_dicom(tmp_path / "a", 0, Modality="MR")
        write_dicom(tmp_path / "b", 0, Modality="MR")
        slice_ = sorted((tmp_path / "b").iterdir())[1]
        slice_.write_bytes(slice_.read_bytes().replace(b"US\x02\x00\x05", b"US\x03\x00\x05"))
        a, b = find_cases(tmp_path, ONE, recursive=True).cases
        assert a.problem is None
        assert b.problem == f"{slice_} is a damaged DICOM file; copy or export it again."


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([], r"There is no case in .*; give a folder of scans, or search its subfolders too"),
        (["a.seg.nrrd"], r"There is no case in .* \(1 skipped, such as .*a.seg.nrrd: a segmentation, not a scan\)"),
        (None, "There is no file or folder"),
    ],
)
def test_nothing_found(tmp_path, files, sentence):
    root = tmp_path / "nowhere" if files is None else touch(tmp_path, *files)
    with pytest.raises(InputError, match=sentence):
        find_cases(root, ONE)
