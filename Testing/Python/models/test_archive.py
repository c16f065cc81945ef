"""Models as one file: what goes out comes in again, into a place of its own."""

from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path

import heads
import pytest
from AttentionSegLib.errors import InputError, OutputError
from AttentionSegLib.models import archive, export_model, find_model, import_model, list_models, load_model, user_folder
from model_folders import CARD, WEIGHTS
from packed_models import contents, entries, refused, repack, with_file

pytestmark = pytest.mark.usefixtures("home")


class TestRoundTrip:
    def test_what_goes_out_comes_in_again(self, folder, packed):
        imported = import_model(packed)
        assert imported == user_folder() / "model-a"
        assert contents(imported) == contents(folder)
        assert find_model("model-a") == imported
        assert load_model(imported).card.id == "model-a"
        assert [path.name for path in user_folder().iterdir()] == ["model-a"]
        assert stat.S_IMODE(imported.stat().st_mode) == 0o755

    def test_a_model_can_be_taken_from_a_folder(self, folder):
        before = contents(folder)
        assert contents(import_model(folder)) == contents(folder) == before

    def test_a_folder_can_be_named_by_its_card(self, folder):
        assert contents(import_model(folder / CARD)) == contents(folder)

    def test_files_of_a_zip_may_lie_at_its_top(self, folder, packed):
        assert contents(import_model(repack(packed, contents(folder)))) == contents(folder)

    def test_what_file_managers_add_is_passed_over(self, folder, packed):
        for name in ("__MACOSX/model-a/._model.json", "model-a/.DS_Store", "model-a/"):
            with_file(packed, name)
        assert contents(import_model(packed)) == contents(folder)
        shutil.rmtree(user_folder())
        (folder / ".DS_Store").write_bytes(b"x")
        import_model(folder)

    def test_a_shipped_model_goes_out_by_its_id(self, tmp_path):
        names = entries(export_model("hippocampus-mr-attention-unet", tmp_path / "shipped.zip"))
        assert {name.rpartition("/")[2] for name in names} == {CARD, "thumbnail.png", WEIGHTS, "mni152_t1_2mm.nii.gz", "NOTICE.txt"}


class TestTemplate:
    @pytest.fixture
    def packed(self, tmp_path) -> Path:
        folder = heads.save_finder(tmp_path / "finder", id="model-f")
        (folder / "scan of mine.nii.gz").write_bytes(b"private")
        return export_model(folder, tmp_path / "finder.zip")

    def test_it_goes_out_and_comes_in_with_the_model(self, packed, tmp_path):
        imported = import_model(packed)
        expected = contents(tmp_path / "finder")
        del expected["scan of mine.nii.gz"]
        assert contents(imported) == expected

    def test_it_must_be_there(self, packed):
        files = {name: content for name, content in entries(packed).items() if not name.endswith(".nii.gz")}
        assert "holds no head.nii.gz, which its card names as its template" in refused(repack(packed, files))

    def test_it_must_be_that_of_the_card(self, packed):
        assert "its SHA-256 differs" in refused(with_file(packed, "model-f/head.nii.gz", b"another"))

    def test_no_other_image_is_taken(self, packed):
        assert "holds 'more.nii.gz', which its card does not name" in refused(with_file(packed, "model-f/more.nii.gz"))


class TestExport:
    def test_other_files_stay_at_home(self, folder, tmp_path):
        (folder / "notes.docx").write_bytes(b"private")
        (folder / "checkpoints").mkdir()
        assert {name.partition("/")[2] for name in entries(export_model(folder, tmp_path / "m.zip"))} == {
            CARD,
            WEIGHTS,
            "thumbnail.png",
            "LICENSE",
            "README.md",
        }

    def test_the_ending_is_added_and_an_older_file_replaced(self, folder, tmp_path):
        (tmp_path / "m.zip").write_bytes(b"old")
        assert export_model(folder, tmp_path / "m") == tmp_path / "m.zip"
        assert len(entries(tmp_path / "m.zip")) == 5

    def test_into_a_folder(self, folder, tmp_path):
        (tmp_path / "shared").mkdir()
        assert export_model(folder, tmp_path / "shared") == tmp_path / "shared" / f"{load_model(folder).card.id}.zip"
        assert not (tmp_path / "shared.zip").exists()

    def test_two_exports_are_the_same_file(self, folder, tmp_path):
        assert export_model(folder, tmp_path / "1.zip").read_bytes() == export_model(folder, tmp_path / "2.zip").read_bytes()

    def test_a_model_that_is_not_as_its_card_says_leaves_no_file(self, folder, tmp_path):
        (tmp_path / "m.zip").write_bytes(b"old")
        content = bytearray((folder / WEIGHTS).read_bytes())
        content[-1] ^= 1
        (folder / WEIGHTS).write_bytes(content)
        with pytest.raises(InputError, match="SHA-256 differs"):
            export_model(folder, tmp_path / "m.zip")
        assert (tmp_path / "m.zip").read_bytes() == b"old"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["m.zip", "my model"]

    def test_an_unknown_model_and_a_place_that_is_not_there(self, folder, tmp_path):
        with pytest.raises(InputError, match="There is no model 'nothing'"):
            export_model("nothing", tmp_path / "m.zip")
        with pytest.raises(OutputError, match=r"m\.zip cannot be written \(No such file"):
            export_model(folder, tmp_path / "nowhere" / "m.zip")


class TestPlace:
    def test_an_id_that_is_there_already(self, packed):
        import_model(packed)
        assert refused(packed).startswith(f"There is already a model 'model-a' at {user_folder() / 'model-a'}; ")

    def test_the_id_of_a_shipped_model(self, tmp_path):
        shipped = find_model("hippocampus-mr-attention-unet")
        assert str(shipped) in refused(export_model(shipped, tmp_path / "m.zip"))

    def test_a_folder_in_the_way(self, packed):
        (user_folder() / "model-a").mkdir(parents=True)
        assert "There is already a model 'model-a'" in refused(packed)

    def test_a_disk_that_fills_up_leaves_nothing(self, packed, monkeypatch):
        def full(*_arguments):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(archive, "_copy", full)
        with pytest.raises(OutputError, match=rf"^{re.escape(str(user_folder() / 'model-a'))} cannot be written .No space left"):
            import_model(packed)
        assert list(user_folder().iterdir()) == []

    def test_it_is_not_listed_before_it_is_complete(self, packed, monkeypatch):
        original, listed = archive._copy, []

        def copy(*arguments):
            original(*arguments)
            listed.extend(entry.id for entry in list_models())

        monkeypatch.setattr(archive, "_copy", copy)
        import_model(packed)
        assert listed
        assert "model-a" not in listed
