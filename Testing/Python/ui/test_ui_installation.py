"""What is missing is installed, and what is there is left alone."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import safetensors
import slicer
from AttentionSegLib.errors import InputError
from AttentionSegLib.ui import installation as installation_module
from AttentionSegLib.ui.installation import Installation, installed_versions

RESOURCES = Path(__file__).resolve().parents[3] / "AttentionSeg" / "Resources"
REQUIREMENTS = [RESOURCES / f"requirements{kind}.txt" for kind in ("", "-batch", "-training")]


class Packaging(ModuleType):
    """slicer.packaging, as far as it is used."""

    def __init__(self, code=0):
        super().__init__("slicer.packaging")
        self.code = code

    def pip_install(self, requirements, constraints, blocking, show_progress, requester, logCallback, completedCallback):  # noqa: N803
        self.requirements, self.constraints = requirements, Path(constraints).read_text(encoding="utf-8").splitlines()
        assert not blocking
        for number in range(20):
            logCallback(f"line {number}")
        completedCallback(self.code)


@pytest.fixture
def without(monkeypatch):
    """Packages of these names are not found."""
    original = installation_module.importlib.util.find_spec

    def hide(*names):
        monkeypatch.setattr(installation_module.importlib.util, "find_spec", lambda name: None if name in names else original(name))

    return hide


@pytest.fixture
def versions(monkeypatch):
    """Packages of these names are found in these versions."""
    original = installation_module.importlib.metadata.version

    def pretend(**found):
        monkeypatch.setattr(installation_module.importlib.metadata, "version", lambda name: found.get(name) or original(name))

    return pretend


def install(installation):
    lines, ends = [], []
    installation.install(lines.append, ends.append)
    assert len(ends) == 1
    return lines, ends[0]


def test_the_panel_opens_before_anything_is_installed():
    absent = ("torch", "monai", "safetensors", "jsonschema", "matplotlib", "lightning", "filelock", "tqdm", "openvino")
    code = f"""
import sys, types
sys.path.insert(0, {str(RESOURCES.parent)!r})
sys.modules.update(dict.fromkeys({absent}), qt=types.ModuleType("qt"))
from AttentionSegLib.ui import module_panel, model_list
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_requirement_has_a_name_and_a_size():
    for path in REQUIREMENTS:
        needed = Installation(path)
        assert needed.packages[0] == "torch"
        assert needed.question(needed.packages)


def test_nothing_is_missing_where_all_is_there():
    assert Installation(REQUIREMENTS[0]).missing() == []


class TestOlderThanPromised:
    def test_every_package_is_noticed(self, versions):
        installation = Installation(*REQUIREMENTS)
        versions(**dict.fromkeys(installation.packages, "0.0.1"))
        assert installation.missing() == installation.packages

    def test_the_lowest_promised_version_and_later_development_versions_are_kept(self, versions):
        versions(torch="2.1.0+cpu", monai="1.3.1", jsonschema="5.0.dev0")
        assert Installation(REQUIREMENTS[0]).missing() == []

    def test_a_package_without_metadata_is_kept(self, monkeypatch):
        def unknown(name):
            raise PackageNotFoundError(name)

        monkeypatch.setattr(installation_module.importlib.metadata, "version", unknown)
        assert Installation(REQUIREMENTS[0]).missing() == []

    def test_it_is_replaced_after_a_question_and_nothing_else(self, versions, monkeypatch):
        packaging = Packaging()
        monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
        monkeypatch.delitem(sys.modules, "monai", raising=False)
        versions(monai="1.3.0")
        installation = Installation(REQUIREMENTS[0])
        assert "monai (10 MB, replaces 1.3.0)" in installation.question(installation.missing())
        assert install(installation)[1] is None
        assert packaging.requirements == ["monai>=1.3.1"]
        held = {line.partition("==")[0] for line in packaging.constraints}
        assert "numpy" in held
        assert "monai" not in held

    def test_where_it_is_loaded_a_restart_is_asked_for(self, versions, monkeypatch):
        monkeypatch.setitem(sys.modules, "slicer.packaging", Packaging())
        monkeypatch.setitem(sys.modules, "safetensors", safetensors)
        versions(safetensors="0.3.9")
        assert "old version of safetensors is still loaded; restart Slicer" in str(install(Installation(REQUIREMENTS[0]))[1])


def test_the_question_says_what_how_large_and_where(without):
    without("monai", "jsonschema")
    installation = Installation(REQUIREMENTS[0])
    assert installation.missing() == ["monai", "jsonschema"]
    question = installation.question(installation.missing())
    assert "monai (10 MB), jsonschema (1 MB)" in question
    assert sys.prefix in question


class TestWithPackaging:
    def test_only_what_is_missing_is_asked_for_and_all_else_is_held(self, without, monkeypatch):
        packaging = Packaging()
        monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
        without("monai")
        lines, error = install(Installation(REQUIREMENTS[0]))
        assert error is None
        assert packaging.requirements == ["monai>=1.3.1"]
        assert lines[-1] == "line 19"
        assert any(line.startswith("numpy==") for line in packaging.constraints)

    def test_a_failure_tells_the_last_lines_and_what_to_do(self, without, monkeypatch):
        monkeypatch.setitem(sys.modules, "slicer.packaging", Packaging(code=1))
        without("monai")
        _lines, error = install(Installation(REQUIREMENTS[0]))
        assert isinstance(error, InputError)
        assert "line 12\nline 13" in str(error)
        assert "line 11" not in str(error)
        assert "Check the network" in str(error)

    def test_another_installation_under_way_is_told(self, without, monkeypatch):
        class Busy(Packaging):
            def pip_install(self, *_arguments, **_options):
                msg = "A non-blocking pip_install is already in progress."
                raise RuntimeError(msg)

        monkeypatch.setitem(sys.modules, "slicer.packaging", Busy())
        without("monai")
        assert "already in progress" in str(install(Installation(REQUIREMENTS[0]))[1])


class TestWithPackagingAndTesting:
    """Started with --testing, Slicer installs at once and calls nobody back."""

    def install(self, monkeypatch, error=None):
        class AtOnce(Packaging):
            def pip_install(self, *_arguments, **_options):
                if error is not None:
                    raise error

        monkeypatch.setitem(sys.modules, "slicer.packaging", AtOnce())
        monkeypatch.setattr(slicer, "app", SimpleNamespace(testingEnabled=lambda: True), raising=False)
        return install(Installation(REQUIREMENTS[0]))[1]

    def test_the_installation_ends(self, without, monkeypatch):
        without("monai")
        assert self.install(monkeypatch) is None

    def test_a_failure_is_told(self, without, monkeypatch):
        without("monai")
        assert "pip install" in str(self.install(monkeypatch, subprocess.CalledProcessError(1, "pip install")))


class TestBeforePackaging:
    def test_pip_gets_the_constraints(self, without, monkeypatch):
        calls = []
        monkeypatch.setitem(sys.modules, "slicer.packaging", None)
        monkeypatch.setattr(slicer.util, "pip_install", lambda arguments: calls.append(arguments))
        without("safetensors")
        assert install(Installation(REQUIREMENTS[0]))[1] is None
        assert calls[0][:2] == ["safetensors>=0.4", "-c"]

    def test_a_failure_is_told(self, without, monkeypatch):
        def fail(_arguments):
            msg = "exit code 1"
            raise RuntimeError(msg)

        monkeypatch.setitem(sys.modules, "slicer.packaging", None)
        monkeypatch.setattr(slicer.util, "pip_install", fail)
        without("safetensors")
        assert "exit code 1" in str(install(Installation(REQUIREMENTS[0]))[1])


class TestTorch:
    def utilities(self, monkeypatch, returned):
        calls = []
        logic = SimpleNamespace(installTorch=lambda **given: calls.append(given) or returned)
        monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=lambda: logic))
        return calls

    def test_comes_from_the_extension(self, without, monkeypatch):
        calls = self.utilities(monkeypatch, returned="torch")
        without("torch")
        assert install(Installation(REQUIREMENTS[0]))[1] is None
        assert calls == [{"askConfirmation": False, "torchVersionRequirement": ">=2.1"}]

    def test_one_that_did_not_come_is_told(self, without, monkeypatch):
        self.utilities(monkeypatch, returned=None)
        without("torch")
        assert "torch was not installed" in str(install(Installation(REQUIREMENTS[0]))[1])

    def test_without_the_extension_it_is_named(self, without, monkeypatch):
        monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
        without("torch")
        assert "extension PyTorch is not installed" in str(install(Installation(REQUIREMENTS[0]))[1])


def test_constraints_pin_every_package_once():
    names = [line.partition("==")[0] for line in installed_versions()]
    assert {"numpy", "torch"} <= set(names)
    assert all("==" in line for line in installed_versions())
