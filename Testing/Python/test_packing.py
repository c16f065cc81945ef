"""What is packed: the lists of the extension and of the wheel have every file, and the wheel names its licenses and what it requires."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from rooms import LIBRARY, LIBRARY_SOURCES, MODULE, REPOSITORY, SOURCES, imports_of, room_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from AttentionSegLib.ui.installation import TORCH_REQUIREMENT

# matplotlib requires contourpy and Pillow, torch requires filelock, Jinja2 requires MarkupSafe.
BROUGHT_ALONG = {"contourpy", "PIL", "filelock", "markupsafe"}


class TestPacking:
    def cmake_list(self, name: str) -> list[str]:
        text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
        return re.search(rf"set\({name}\s+([^)]*)\)", text).group(1).split()

    def test_every_source_is_on_the_list_of_the_extension(self):
        scripts = self.cmake_list("MODULE_PYTHON_SCRIPTS")
        assert sorted(scripts) == sorted(path.relative_to(MODULE).as_posix() for path in SOURCES)

    def test_every_other_file_is_on_the_list_of_the_extension(self):
        resources = self.cmake_list("MODULE_PYTHON_RESOURCES")
        assert sorted(resources) == sorted(path.relative_to(MODULE).as_posix() for path in other_files(MODULE) if path.name != "CMakeLists.txt")

    def test_every_package_is_in_the_wheel(self):
        setuptools = pyproject_setuptools()
        packages = {".".join(path.parent.relative_to(MODULE).parts) for path in LIBRARY_SOURCES if path.name == "__init__.py"}
        assert set(setuptools["packages"]) == packages | {"AttentionSegLib.shipped"}
        assert {path.parent for path in LIBRARY_SOURCES} == {LIBRARY / Path(*name.split(".")[1:]) for name in packages}

    def test_every_other_file_of_the_library_is_in_the_wheel(self):
        packed = {path for package, patterns in pyproject_setuptools()["package-data"].items() for path in matches(package, patterns)}
        assert set(other_files(LIBRARY)) <= packed

    def test_the_models_that_ship_are_in_the_wheel(self):
        setuptools = pyproject_setuptools()
        folder = REPOSITORY / setuptools["package-dir"]["AttentionSegLib.shipped"]
        patterns = setuptools["package-data"]["AttentionSegLib.shipped"]
        packed = {path for pattern in patterns for path in folder.glob(pattern)}
        assert packed == {path for path in folder.rglob("*") if path.is_file() and path.name != ".gitkeep"}

    def test_the_wheel_names_the_license_of_the_code_and_those_of_all_weights(self):
        cards = [json.loads(path.read_text(encoding="utf-8")) for path in (REPOSITORY / "Resources" / "Models").glob("*/model.json")]
        licenses = {card["weights"]["license"].replace(" ", "-") for card in cards}
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert set(project["license"].split(" AND ")) == {"Apache-2.0", *licenses}

    def test_the_wheel_requires_what_the_library_imports(self):
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        optional = project["optional-dependencies"]
        lines = [*project["dependencies"], *(line for extra in ("training", "cpu", "cluster", "dicom") for line in optional[extra])]
        wanted = {re.split(r"[<>=;\[ ]", line)[0].lower() for line in lines}
        roots = {found.module.split(".")[0] for path in LIBRARY_SOURCES if room_of(path) not in ("mrml", "ui") for found in imports_of(path)}
        third_party = {root.lower() for root in roots - sys.stdlib_module_names - {"AttentionSegLib"} - BROUGHT_ALONG}
        assert third_party <= wanted

    def test_slicer_installs_at_least_the_promised_versions(self):
        """What the panel installs and checks is what `Testing/run.py lowest` tests."""
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        promised = {*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)}
        files = (MODULE / "Resources").glob("requirements*.txt")
        assert {TORCH_REQUIREMENT, *(line for path in files for line in path.read_text(encoding="utf-8").split())} <= promised


def other_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts]


def pyproject_setuptools() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def matches(package: str, patterns: list[str]) -> Iterator[Path]:
    if package != "AttentionSegLib.shipped":
        folder = LIBRARY / Path(*package.split(".")[1:])
        for pattern in patterns:
            yield from folder.glob(pattern)
