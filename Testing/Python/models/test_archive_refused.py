"""Models as one file: damaged and harmful ones are refused, and leave nothing."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile

import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import archive, import_model, user_folder
from model_folders import CARD, WEIGHTS, edit_card, make_folder, replace_weights
from packed_models import PNG, contents, entries, refused, repack, with_file
from safetensors.torch import load_file, save

pytestmark = pytest.mark.usefixtures("home")


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
