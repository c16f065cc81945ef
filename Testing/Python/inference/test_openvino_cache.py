"""The cache of converted networks: an entry is whole or not there, and a cache that cannot be written stops nothing."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from AttentionSegLib.inference.openvino_cache import keep_entry, openvino_folder, read_entry

KEY = "0f" * 32
WRITER = """
import sys
from pathlib import Path
from AttentionSegLib.inference.openvino_cache import keep_entry
for _ in range(150):
    keep_entry(Path(sys.argv[1]), sys.argv[2], sys.argv[3].encode() * 100_000)
"""


def entry_of(folder: Path) -> Path:
    (entry,) = folder.iterdir()
    return entry


class TestEntries:
    @pytest.mark.parametrize("content", [b"", b"\0", bytes(range(256)) * 100], ids=len)
    def test_what_was_kept_is_read(self, tmp_path, content):
        folder = tmp_path / "a" / "b"
        keep_entry(folder, KEY, b"before")
        keep_entry(folder, KEY, content)
        assert read_entry(folder, KEY) == content
        assert read_entry(folder, KEY[::-1]) is None

    @pytest.mark.parametrize("place", [0, 31, 32, 100, -1])
    def test_one_changed_bit_and_it_is_not_there(self, tmp_path, place):
        keep_entry(tmp_path, KEY, bytes(200))
        stored = bytearray(entry_of(tmp_path).read_bytes())
        stored[place] ^= 1
        entry_of(tmp_path).write_bytes(stored)
        assert read_entry(tmp_path, KEY) is None

    @pytest.mark.parametrize("size", [0, 10, 32, 231])
    def test_cut_off_and_it_is_not_there(self, tmp_path, size):
        keep_entry(tmp_path, KEY, bytes(200))
        os.truncate(entry_of(tmp_path), size)
        assert read_entry(tmp_path, KEY) is None

    def test_two_processes_at_a_time_never_leave_half_an_entry(self, tmp_path):
        keep_entry(tmp_path, KEY, b"a" * 100_000)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), KEY, letter], env=environment) for letter in "ab"]
        seen = set()
        while any(writer.poll() is None for writer in writers):
            seen.add(read_entry(tmp_path, KEY))
        assert [writer.returncode for writer in writers] == [0, 0]
        assert seen <= {b"a" * 100_000, b"b" * 100_000}
        assert read_entry(tmp_path, KEY) in seen
        assert entry_of(tmp_path).is_file()


class TestUnwritable:
    def test_a_file_in_the_way_is_told_in_a_warning_and_left_as_it_was(self, tmp_path, caplog):
        (tmp_path / "file").write_bytes(b"mine")
        for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                keep_entry(folder, KEY, b"content")
            assert f"cannot be kept in {folder}" in caplog.text
            assert read_entry(folder, KEY) is None
        assert (tmp_path / "file").read_bytes() == b"mine"

    def test_a_folder_in_place_of_the_entry(self, tmp_path, caplog):
        keep_entry(tmp_path, KEY, b"content")
        entry = entry_of(tmp_path)
        entry.unlink()
        entry.mkdir()
        keep_entry(tmp_path, KEY, b"content")
        assert "cannot be kept" in caplog.text
        assert list(tmp_path.iterdir()) == [entry]


class TestFolder:
    @pytest.fixture(autouse=True)
    def at_home(self, monkeypatch, tmp_path):
        for name in ("ATTENTIONSEG_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(Path, "home", lambda: tmp_path)

    @pytest.mark.parametrize(
        ("system", "place"),
        [
            ("linux", ".cache/AttentionSeg/openvino"),
            ("darwin", "Library/Caches/AttentionSeg/openvino"),
            ("win32", "AppData/Local/AttentionSeg/Cache/openvino"),
        ],
    )
    def test_where_the_system_keeps_caches(self, monkeypatch, tmp_path, system, place):
        monkeypatch.setattr(sys, "platform", system)
        assert openvino_folder() == tmp_path / place

    @pytest.mark.parametrize(
        ("system", "name", "place"),
        [("linux", "XDG_CACHE_HOME", "AttentionSeg"), ("win32", "LOCALAPPDATA", "AttentionSeg/Cache"), ("linux", "ATTENTIONSEG_CACHE", "")],
    )
    def test_a_variable_goes_before(self, monkeypatch, tmp_path, system, name, place):
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setenv(name, str(tmp_path / "other"))
        assert openvino_folder() == tmp_path / "other" / place / "openvino"
