"""Where models are found, which of two wins, and what is said of those that cannot be used."""

from __future__ import annotations

import os
import shutil
import sys

import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import find_model, list_models, user_folder
from AttentionSegLib.models.catalogue import model_folders
from model_folders import CARD, edit_card, make_folder

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the user's folder is moved by XDG_DATA_HOME on Linux only")


@pytest.fixture(autouse=True)
def extra(tmp_path, monkeypatch):
    """An own folder named by the variable, beside a user folder that is not the real one."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path / "extra"))
    return tmp_path / "extra"


def own_models() -> dict:
    """The entries in the folders of this test, by id: models that ship with the clone are set aside."""
    shipped = model_folders()[-3:]
    return {entry.id: entry for entry in list_models() if entry.folder.parent not in shipped}


class TestPlaces:
    def test_the_variable_and_the_users_folder(self, extra, tmp_path):
        make_folder(extra / "a", id="model-a")
        make_folder(tmp_path / "home" / "AttentionSeg" / "Models" / "b", id="model-b")
        assert user_folder() == tmp_path / "home" / "AttentionSeg" / "Models"
        assert {name: entry.folder for name, entry in own_models().items()} == {"model-a": extra / "a", "model-b": user_folder() / "b"}
        assert find_model("model-a") == extra / "a"
        assert find_model("model-b") == user_folder() / "b"

    def test_several_folders_in_the_variable_and_missing_ones(self, extra, tmp_path, monkeypatch):
        monkeypatch.setenv("ATTENTIONSEG_MODELS", os.pathsep.join([str(extra), str(tmp_path / "missing"), "", str(tmp_path / "Größe")]))
        make_folder(extra / "a", id="model-a")
        make_folder(tmp_path / "Größe" / "b", id="model-b")
        assert list(own_models()) == ["model-a", "model-b"]

    def test_without_the_variable_and_without_a_home_for_data(self, monkeypatch, tmp_path):
        monkeypatch.delenv("ATTENTIONSEG_MODELS")
        monkeypatch.delenv("XDG_DATA_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert user_folder() == tmp_path / ".local" / "share" / "AttentionSeg" / "Models"
        assert own_models() == {}

    def test_the_list_is_in_the_order_of_the_ids(self, extra):
        for folder, name in (("1", "zebra"), ("2", "ant"), ("3", "mouse")):
            make_folder(extra / folder, id=name)
        assert list(own_models()) == ["ant", "mouse", "zebra"]

    def test_files_and_folders_without_a_card_are_passed_over(self, extra):
        make_folder(extra / "a", id="model-a")
        (extra / "notes").mkdir()
        (extra / CARD).write_text("{}", encoding="utf-8")
        assert list(own_models()) == ["model-a"]

    def test_a_model_in_the_making_is_passed_over(self, extra):
        make_folder(extra / ".model-a-x1y2", id="model-a")
        assert own_models() == {}


class TestPrecedence:
    def test_the_variable_wins_over_the_users_folder(self, extra):
        make_folder(extra / "mine", id="model-a", title="From the variable")
        make_folder(user_folder() / "mine", id="model-a", title="From the user")
        assert own_models()["model-a"].card.title == "From the variable"
        assert find_model("model-a") == extra / "mine"

    def test_the_first_folder_of_the_variable_wins(self, extra, tmp_path, monkeypatch):
        monkeypatch.setenv("ATTENTIONSEG_MODELS", os.pathsep.join([str(tmp_path / "first"), str(extra)]))
        for parent in (extra, tmp_path / "first"):
            make_folder(parent / "mine", id="model-a")
        assert find_model("model-a") == tmp_path / "first" / "mine"

    def test_the_users_folder_wins_over_what_ships(self):
        shipped = [entry for entry in list_models() if entry.card]
        if not shipped:
            pytest.skip("no model ships with this clone yet")
        make_folder(user_folder() / "mine", id=shipped[0].id)
        assert find_model(shipped[0].id) == user_folder() / "mine"


class TestFinding:
    @pytest.mark.parametrize("kind", [str, lambda path: path, lambda path: f"{path}/"], ids=["text", "path", "with slash"])
    def test_by_the_path_of_a_folder_anywhere(self, tmp_path, kind):
        folder = make_folder(tmp_path / "elsewhere" / "my model")
        assert find_model(kind(folder)) == folder

    def test_by_a_relative_path(self, tmp_path, monkeypatch):
        make_folder(tmp_path / "here")
        monkeypatch.chdir(tmp_path)
        assert find_model("here").resolve() == tmp_path / "here"

    def test_by_the_name_of_its_folder(self, extra):
        make_folder(extra / "downloaded (1)", id="model-a")
        assert find_model("downloaded (1)") == extra / "downloaded (1)"

    def test_an_id_goes_before_the_name_of_a_folder(self, extra):
        make_folder(extra / "model-b", id="model-a")
        make_folder(extra / "other", id="model-b")
        assert find_model("model-b") == extra / "other"

    @pytest.mark.parametrize("name", ["hipocampus-t1", "hippocampus", "Hippocampus-T1"])
    def test_an_unknown_name_brings_up_the_nearest(self, extra, name):
        make_folder(extra / "a", id="hippocampus-t1")
        make_folder(extra / "b", id="liver-ct")
        with pytest.raises(InputError, match=rf"^There is no model '{name}'; did you mean [^\n]*hippocampus-t1[^\n]*\?$") as caught:
            find_model(name)
        assert "liver" not in str(caught.value)

    def test_a_name_like_no_other_brings_up_all(self, extra):
        make_folder(extra / "a", id="hippocampus-t1")
        make_folder(extra / "b", id="liver-ct")
        with pytest.raises(InputError, match=r"^There is no model 'zzz'; there are [^\n]*hippocampus-t1, [^\n]*liver-ct[^\n]*\.$"):
            find_model("zzz")

    def test_a_path_without_a_model_is_no_model(self, tmp_path):
        with pytest.raises(InputError, match=r"^There is no model '[^\n]+nothing'"):
            find_model(tmp_path / "nothing")


class TestBroken:
    def test_it_is_listed_with_its_problem(self, extra):
        make_folder(extra / "fine", id="model-a")
        broken = make_folder(extra / "broken", id="model-b")
        edit_card(broken, overlap=2)
        entry = own_models()["broken"]
        assert entry.folder == broken
        assert entry.card is None
        assert "overlap" in entry.problem
        assert own_models()["model-a"].problem is None

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 200_000], ids=["empty", "cut off", "not text", "nested"])
    def test_whatever_its_card_holds_the_others_are_listed(self, extra, content):
        make_folder(extra / "fine", id="model-a")
        (make_folder(extra / "broken", id="model-b") / CARD).write_bytes(content)
        assert list(own_models()) == ["broken", "model-a"]

    def test_finding_it_says_what_is_wrong(self, extra):
        edit_card(make_folder(extra / "broken"), overlap=2)
        with pytest.raises(InputError, match=r"^[^\n]+broken[^\n]+ at overlap: [^\n]+\.$"):
            find_model("broken")


class TestChanges:
    def test_a_changed_card_is_read_anew(self, extra):
        folder = make_folder(extra / "a", id="model-a")
        assert own_models()["model-a"].card.title != "Another title"
        edit_card(folder, title="Another title")
        assert own_models()["model-a"].card.title == "Another title"

    def test_what_one_does_with_a_card_no_one_else_sees(self, extra):
        make_folder(extra / "a", id="model-a")
        mine = own_models()["model-a"].card
        mine.raw["title"] = "Mine"
        mine.raw["weights"]["license"] = "Mine"
        mine.network_arguments["channels"].append(99)
        mine.inputs[0].normalization["kind"] = "window"
        card = own_models()["model-a"].card
        assert (card.raw["title"], card.raw["weights"]["license"]) == (card.title, card.weights_license)
        assert card.network_arguments["channels"] == [4, 6, 8]
        assert card.inputs[0].normalization["kind"] == "z-score"

    def test_a_mended_card_is_found(self, extra):
        folder = make_folder(extra / "a", id="model-a")
        good = (folder / "model.json").read_bytes()
        (folder / "model.json").write_text("not a card")
        assert own_models()["a"].problem
        (folder / "model.json").write_bytes(good)
        assert own_models()["model-a"].problem is None

    def test_a_deleted_model_is_gone(self, extra):
        folder = make_folder(extra / "a", id="model-a")
        assert "model-a" in own_models()
        shutil.rmtree(folder)
        assert own_models() == {}
