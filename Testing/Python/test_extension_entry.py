"""How the extension is listed: the entries for the Extensions Index say what CMakeLists.txt says."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RAW = "https://raw.githubusercontent.com/AttentionSeg/SlicerAttentionSeg/main/"
CMAKE = dict(re.findall(r'set\(EXTENSION_(\w+) "([^"]*)"\)', (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")))
LINES = [line for line in (REPOSITORY / "AttentionSeg.s4ext").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
S4EXT = {keyword: value for keyword, _, value in (line.partition(" ") for line in LINES)}
ENTRY = json.loads((REPOSITORY / "AttentionSeg.json").read_text(encoding="utf-8"))
# Of the schema, which allows no others; the first three are required.
FIELDS = {
    "$schema": r"https://raw\.githubusercontent\.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1\.0\.1\.json#",
    "category": r"[A-Z][A-Za-z ]+",
    "scm_url": r"https://\S+\.git",
    "scm_revision": r"\S+",
    "scm_type": "git",
    "build_subdirectory": r"\S+",
    "build_dependencies": None,
    "tier": None,
    "enabled": None,
}


def test_the_entry_has_the_fields_of_the_schema():
    assert {"$schema", "category", "scm_url"} <= ENTRY.keys() <= FIELDS.keys()
    for name, value in ENTRY.items():
        assert FIELDS[name] is None or re.fullmatch(FIELDS[name], value), name
    assert ENTRY["tier"] in (1, 3, 5)


def test_both_entries_say_what_cmake_says():
    assert (ENTRY["category"], ENTRY["build_dependencies"]) == (CMAKE["CATEGORY"], CMAKE["DEPENDS"].split())
    assert (ENTRY["scm_url"], ENTRY["scm_revision"], ENTRY["scm_type"]) == (S4EXT["scmurl"], S4EXT["scmrevision"], S4EXT["scm"])
    assert ENTRY["build_subdirectory"] == S4EXT["build_subdirectory"]
    for name in ("homepage", "category", "contributors", "description", "iconurl", "screenshoturls", "depends"):
        assert S4EXT[name] == CMAKE[name.upper()], name


@pytest.mark.parametrize("name", ["ICONURL", "SCREENSHOTURLS"])
def test_pictures_are_there(name):
    for url in CMAKE[name].split():
        assert url.startswith(RAW)
        picture = (REPOSITORY / url[len(RAW) :]).read_bytes()
        assert picture[:8] == b"\x89PNG\r\n\x1a\n"
        if name == "ICONURL":
            assert struct.unpack(">II", picture[16:24]) == (128, 128)
