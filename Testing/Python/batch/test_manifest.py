"""What the manifest remembers, whenever the run before it was killed, and who may write to a folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from AttentionSegLib.batch.fingerprint import content_hash, stamp
from AttentionSegLib.batch.manifest import Entry, Manifest
from AttentionSegLib.errors import InputError, OutputError
from AttentionSegLib.lock import locked
from AttentionSegLib.options import RunOptions
from AttentionSegLib.writing import atomic_folder, sweep


def entry(case: str, state: str = "done", **changes) -> Entry:
    return Entry(case, state, [f"{case}.nii"], "s", "h", "tiny 1", "w", RunOptions().of_files(), **changes)


class TestManifest:
    def test_remembers_the_last_of_each_case(self, tmp_path):
        manifest = Manifest(tmp_path / "m.jsonl")
        for one in (entry("ä b", "failed", error="Why."), entry("c"), entry("ä b", outputs={"x": 3})):
            manifest.add(one)
        found = Manifest(tmp_path / "m.jsonl").entries
        assert found == {"ä b": entry("ä b", outputs={"x": 3}), "c": entry("c")} == manifest.entries

    def test_cut_off_anywhere_it_knows_all_that_were_whole(self, tmp_path):
        path = tmp_path / "m.jsonl"
        manifest = Manifest(path)
        for name in "abc":
            manifest.add(entry(name))
        content = path.read_bytes()
        ends = [n for n, byte in enumerate(content, 1) if byte == ord("\n")]
        for length in range(len(content) + 1):
            path.write_bytes(content[:length])
            assert list(Manifest(path).entries) == list("abc")[: sum(end <= length for end in ends)]

    def test_goes_on_after_a_cut(self, tmp_path):
        path = tmp_path / "m.jsonl"
        Manifest(path).add(entry("a"))
        path.write_bytes(path.read_bytes() + b'{"case": "b", "st')
        manifest = Manifest(path)
        manifest.keep(manifest.entries)
        manifest.add(entry("c"))
        assert list(Manifest(path).entries) == ["a", "c"]

    def test_keeps_a_line_for_each_case_only(self, tmp_path):
        manifest = Manifest(tmp_path / "m.jsonl")
        for name in "abab":
            manifest.add(entry(name))
        manifest.keep(["b"])
        assert (tmp_path / "m.jsonl").read_text().count("\n") == 1
        assert list(manifest.entries) == list(Manifest(tmp_path / "m.jsonl").entries) == ["b"]

    def test_a_line_of_an_older_version_is_read(self, tmp_path):
        label = {"value": 1, "name": "liver", "voxels": 3, "milliliters": 0.5}
        whole = entry("a", labels=[label])
        line = {key: value for key, value in asdict(whole).items() if key not in ("notes", "date")}
        (tmp_path / "m.jsonl").write_text(json.dumps({**line, "options": {"attention": True}, "labels": [label]}) + "\n")
        assert Manifest(tmp_path / "m.jsonl").entries == {"a": whole}

    def test_a_statistic_that_only_a_newer_version_knows_is_kept(self, tmp_path):
        manifest = Manifest(tmp_path / "m.jsonl")
        manifest.add(entry("a", labels=[{"value": 1, "name": "liver", "voxels": 3, "milliliters": 0.5, "roundness": 0.7}]))
        assert Manifest(tmp_path / "m.jsonl").entries["a"].labels[0]["roundness"] == 0.7

    def test_a_newer_schema_is_refused(self, tmp_path):
        (tmp_path / "m.jsonl").write_text('{"schema": 99, "who": "knows"}\n')
        with pytest.raises(InputError, match="of a newer version"):
            Manifest(tmp_path / "m.jsonl")

    @pytest.mark.parametrize("line", ["no JSON", "[1]", '{"case": "a"}', json.dumps({**asdict(entry("a")), "labels": [{"name": "liver"}]})])
    def test_what_is_no_manifest_is_refused(self, tmp_path, line):
        (tmp_path / "m.jsonl").write_text(line + "\n")
        with pytest.raises(InputError, match=r"Line 1 of .*m\.jsonl is not one of a manifest"):
            Manifest(tmp_path / "m.jsonl")


class TestLock:
    def test_one_run_at_a_time(self, tmp_path):
        with locked(tmp_path), pytest.raises(InputError, match=rf"Another run \(process {os.getpid()} on .+\) is working in "), locked(tmp_path):
            pass
        with locked(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []


class TestFolder:
    def write(self, target: Path, *names: str) -> None:
        with atomic_folder(target, replace=True) as folder:
            for name in names:
                (folder / name).write_text(name)

    def test_appears_whole_and_replaces_the_one_before(self, tmp_path):
        self.write(tmp_path / "a", "1", "2")
        with atomic_folder(tmp_path / "a", replace=True) as folder:
            (folder / "3").write_text("")
            assert {path.name for path in (tmp_path / "a").iterdir()} == {"1", "2"}
        assert [path.name for path in tmp_path.rglob("*")] == ["a", "3"]

    def test_stays_what_it_was_when_writing_fails(self, tmp_path):
        self.write(tmp_path / "a", "1")
        with pytest.raises(OutputError, match="No such file"):
            self.write(tmp_path / "a", "2", "nowhere/3")
        assert [path.name for path in tmp_path.rglob("*")] == ["a", "1"]

    def test_what_a_kill_leaves_is_swept(self, tmp_path):
        (tmp_path / ".attentionseg-x" / "new").mkdir(parents=True)
        self.write(tmp_path / "a", "1")
        sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["a"]


class TestFingerprint:
    def test_of_files_that_were_touched_or_moved_or_changed(self, tmp_path):
        path = tmp_path / "a.nii"
        path.write_text("one")
        before = stamp([path]), content_hash([path])
        os.utime(path, ns=(1, 1))
        assert stamp([path]) != before[0]
        assert content_hash([path]) == before[1]
        path.write_text("two")
        assert content_hash([path]) != before[1]
        os.utime(path, ns=(1, 1))
        stamped = stamp([path])
        (tmp_path / "sub").mkdir()
        assert stamp([path.rename(tmp_path / "sub" / "a.nii")]) == stamped

    @pytest.mark.parametrize(("header", "line"), [("a.mhd", "ElementDataFile = a.raw"), ("a.nhdr", "data file: a.raw")])
    def test_of_a_header_knows_its_voxels(self, tmp_path, header, line):
        (tmp_path / header).write_text(f"first line\n{line}\n")
        (tmp_path / "a.raw").write_text("one")
        before = content_hash([tmp_path / header])
        (tmp_path / "a.raw").write_text("two")
        assert content_hash([tmp_path / header]) != before

    def test_of_a_folder_knows_every_slice(self, tmp_path):
        for name in "ab":
            (tmp_path / name).write_text(name)
        before = stamp([tmp_path]), content_hash([tmp_path])
        (tmp_path / "b").write_text("bb")
        assert (stamp([tmp_path]) != before[0], content_hash([tmp_path]) != before[1]) == (True, True)
