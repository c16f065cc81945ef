"""Which files are the inputs of one case: by their names, a table, or BIDS."""

from __future__ import annotations

from pathlib import Path

import pytest
from AttentionSegLib.batch.cohort import find_cases
from AttentionSegLib.errors import InputError
from cohort_files import ONE, inputs, names, touch
from tiny_models import AS_IT_IS, make_card

TWO = make_card(inputs=[{"name": name, "modality": "MR", "normalization": AS_IT_IS} for name in ("T1", "FLAIR")])


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
