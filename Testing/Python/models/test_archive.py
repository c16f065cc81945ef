"""Models as one file: what goes out comes in again, and nothing else comes in."""

from __future__ import annotations

import json
import re
import shutil
import stat
import sys
import zipfile
from pathlib import Path

import heads
import pytest
from AttentionSegLib.errors import InputError, OutputError
from AttentionSegLib.models import archive, export_model, find_model, import_model, list_models, load_model, user_folder
from model_folders import CARD, WEIGHTS, edit_card, make_folder, replace_weights
from safetensors.torch import load_file, save

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the user's folder is moved by XDG_DATA_HOME on Linux only")

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (128).to_bytes(4, "big") * 2 + b"and so on"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ATTENTIONSEG_MODELS", "")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model with everything that one may have."""
    made = make_folder(tmp_path / "my model", id="model-a")
    (made / "thumbnail.png").write_bytes(PNG)
    (made / "LICENSE").write_text("CC BY-SA 4.0", encoding="utf-8")
    (made / "README.md").write_text("Größe", encoding="utf-8")
    return made


@pytest.fixture
def packed(folder, tmp_path) -> Path:
    return export_model(folder, tmp_path / "model.zip")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def repack(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def with_file(packed: Path, name: str, content: bytes = b"x") -> Path:
    return repack(packed, {**entries(packed), name: content})


def refused(path: Path) -> str:
    """The sentence with which a file is refused; nothing of it may be left."""
    before = sorted(user_folder().rglob("*"))
    with pytest.raises(InputError, match=r"^[^\n]+[;,] [^\n]+\.$") as caught:
        import_model(path)
    assert sorted(user_folder().rglob("*")) == before
    return str(caught.value)


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


class TestDamaged:
    def test_no_zip(self, tmp_path):
        (tmp_path / "m.zip").write_bytes(b"This is no archive.")
        assert "is not a .zip that can be read" in refused(tmp_path / "m.zip")
        assert "There is no file or folder" in refused(tmp_path / "nothing.zip")

    @pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
    def test_cut_off(self, packed, share):
        content = packed.read_bytes()
        packed.write_bytes(content[: int(share * len(content))])
        assert "is not a .zip that can be read" in refused(packed)

    def test_a_changed_byte_of_packed_weights(self, packed):
        content = bytearray(packed.read_bytes())
        content[len(content) // 2] ^= 1
        packed.write_bytes(content)
        assert "is not a .zip that can be read" in refused(packed)

    def test_any_byte_of_the_list_of_contents(self, packed, folder):
        """It may do no harm, or be told in a sentence."""
        content = packed.read_bytes()
        start = content.index(b"PK\1\2")
        for place in range(start, len(content)):
            packed.write_bytes(content[:place] + bytes([content[place] ^ 0x80]) + content[place + 1 :])
            try:
                assert contents(import_model(packed)) == contents(folder)
                shutil.rmtree(user_folder() / "model-a")
            except InputError:
                pass

    def test_weights_of_another_model(self, packed, tmp_path):
        other = make_folder(tmp_path / "other", seed=5)
        text = refused(with_file(packed, "model-a/weights.safetensors", (other / WEIGHTS).read_bytes()))
        assert "are not the weights of its card (their SHA-256 differs)" in text

    @pytest.mark.parametrize(
        ("change", "phrase"),
        [
            (lambda state: state.pop(sorted(state)[0]), "1 missing"),
            (lambda state: state[sorted(state)[0]].view(-1)[0].fill_(float("nan")), "hold NaN"),
        ],
        ids=["missing", "not finite"],
    )
    def test_a_model_that_cannot_run_is_not_taken(self, folder, change, phrase):
        state = load_file(folder / "weights.safetensors")
        change(state)
        replace_weights(folder, save(state))
        with pytest.raises(InputError, match=rf"{phrase}[^\n]+; nothing was taken from [^\n]+my model, get the model from its author\.$"):
            import_model(folder)
        assert not [path for path in user_folder().rglob("*") if path.is_file()]

    def test_weights_of_another_size(self, packed):
        assert "has 3 bytes and not the" in refused(with_file(packed, "model-a/weights.safetensors", b"abc"))

    @pytest.mark.parametrize(
        ("content", "said"),
        [(b"{", "cannot be read"), (b"\xff", "cannot be read"), (b"[]", "breaks the schema"), (b"[" * 200_000, "cannot be read")],
        ids=["cut off", "not text", "no card", "nested"],
    )
    def test_a_card_that_is_none(self, packed, content, said):
        assert said in refused(with_file(packed, "model-a/model.json", content))

    def test_a_card_that_breaks_the_schema(self, folder):
        edit_card(folder, overlap=3)
        assert "at overlap" in refused(folder)

    @pytest.mark.parametrize("name", [CARD, WEIGHTS])
    def test_without_card_or_weights(self, packed, name):
        assert f"holds no {name}" in refused(repack(packed, {key: value for key, value in entries(packed).items() if not key.endswith(name)}))


class TestHarmful:
    @pytest.mark.parametrize("name", ["../LICENSE", "model-a/../../LICENSE", "/etc/LICENSE", "C:/LICENSE", "..\\LICENSE", "model-a/..\\..\\LICENSE"])
    def test_a_path_that_leaves_the_folder(self, packed, name, tmp_path):
        before = sorted(tmp_path.rglob("*"))
        assert "leads out of its folder" in refused(with_file(packed, name))
        assert sorted(tmp_path.rglob("*")) == before

    def test_an_id_that_is_a_path(self, folder, packed):
        document = json.loads((folder / CARD).read_text(encoding="utf-8"))
        assert "at id" in refused(with_file(packed, "model-a/model.json", json.dumps({**document, "id": "../model-b"}).encode()))

    def test_a_link_in_a_zip(self, packed):
        files = entries(packed)
        with zipfile.ZipFile(packed, "w") as made:
            for name, content in files.items():
                made.writestr(name, content)
            link = zipfile.ZipInfo("model-a/NOTICE")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            made.writestr(link, "/etc/passwd")
        assert "is a link" in refused(packed)

    def test_a_link_and_a_folder_in_a_folder(self, folder, tmp_path):
        (tmp_path / "secret").write_text("secret")
        (folder / "NOTICE").symlink_to(tmp_path / "secret")
        assert "is a folder or a link" in refused(folder)
        (folder / "NOTICE").unlink()
        (folder / "code").mkdir()
        assert "is a folder or a link" in refused(folder)

    @pytest.mark.parametrize("name", ["run.py", "weights.pt", "model.pkl", "README.exe", "LICENSE.py", "Model.json ", ".hidden"])
    def test_files_that_are_no_part_of_a_model(self, packed, name):
        assert f"holds '{name}', which is not part of a model" in refused(with_file(packed, f"model-a/{name}"))

    def test_a_text_that_is_none(self, packed):
        assert "'README.md' of" in refused(with_file(packed, "model-a/README.md", b"\x7fELF\0\0"))

    @pytest.mark.parametrize("content", [b"GIF89a" * 9, PNG[:16] + (70_000).to_bytes(4, "big") * 2, b""], ids=["gif", "large", "empty"])
    def test_a_picture_that_is_none_or_takes_gigabytes_to_show(self, packed, content):
        assert "is not a PNG of at most 512 x 512 pixels" in refused(with_file(packed, "model-a/thumbnail.png", content))

    def test_the_same_file_twice(self, packed):
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(packed, "a") as made:
            made.writestr("model-a/LICENSE", "another")
        assert "is there twice" in refused(packed)

    def test_two_models_in_one_file(self, packed):
        assert "holds files in model-a, model-b;" in refused(with_file(packed, "model-b/NOTICE"))

    def test_thousands_of_files(self, packed):
        assert "holds 1000 files" in refused(repack(packed, {f"LICENSE{n}": b"" for n in range(1000)}))

    def test_a_bomb(self, packed):
        assert "MB packed into 0.0 MB" in refused(with_file(packed, "model-a/weights.safetensors", bytes(20_000_000)))

    def test_a_file_that_is_too_large(self, packed, monkeypatch):
        files = entries(packed)
        assert "holds 'README.md' of 5 MB" in refused(repack(packed, {**files, "model-a/README.md": bytes(5_000_000)}, zipfile.ZIP_STORED))
        monkeypatch.setattr(archive, "LARGEST_WEIGHTS", 20_000)
        assert "holds 'weights.safetensors' of 0 MB; it may have 0 MB" in refused(repack(packed, files))

    def test_a_file_that_is_larger_than_it_says(self, packed):
        content = packed.read_bytes()
        info = zipfile.ZipFile(packed).getinfo("model-a/README.md")
        assert info.file_size == 7
        place = content.rindex(b"PK\1\2", 0, content.rindex(b"model-a/README.md")) + 24
        packed.write_bytes(content[:place] + (3).to_bytes(4, "little") + content[place + 4 :])
        assert "is not a .zip that can be read (Bad CRC-32" in refused(packed)

    def test_an_unusual_compression(self, packed):
        assert "unsupported" in refused(repack(packed, entries(packed), zipfile.ZIP_BZIP2))


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
