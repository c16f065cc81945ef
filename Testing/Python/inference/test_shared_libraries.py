"""Libraries of large packages ahead of their import: in memory, and of no harm where there are none."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[3] / "AttentionSeg"
# No test reports that OpenVINO is used.
SETUP = "import sys; sys.modules['openvino_telemetry'] = None; "
SETUP += "from AttentionSegLib.inference.shared_libraries import preload_openvino, preload_simpleitk, preload_torch"


def printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", f"{SETUP}; {code}"], cwd=MODULE, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_libraries_are_loaded_and_python_s_part_is_not():
    maps = "open('/proc/self/maps').read()"
    found = printed(f"preload_torch(); print('libtorch_cpu' in {maps}, 'libtorch_python' in {maps}, 'torch' in sys.modules)")
    assert found == ["True", "False", "False"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("package", "libraries", "works"),
    [
        ("SimpleITK", ["_SimpleITK"], "SimpleITK.Image(2, 2, 2, SimpleITK.sitkUInt8).GetSize()"),
        ("openvino", ["_pyopenvino", "_cpu_plugin"], "openvino.Core().get_property('CPU', 'NUM_STREAMS')"),
    ],
)
def test_other_libraries_are_loaded_and_their_packages_work(package, libraries, works):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    loaded = f"[name in open('/proc/self/maps').read() for name in {libraries}]"
    code = f"preload_{package.lower()}(); print(all({loaded}), '{package}' in sys.modules); import {package}; {works}; print('works')"
    assert printed(code) == ["True", "False", "works"]


def test_torch_works_after_it():
    assert printed("preload_torch(); import torch; preload_torch(); print(float(torch.ones(2, 2).sum()))") == ["4.0"]


@pytest.mark.parametrize("content", [None, b"no library"])
def test_a_torch_without_usable_libraries_is_left_to_the_import(tmp_path, content):
    package = tmp_path / "torch"
    (package / "lib").mkdir(parents=True)
    (package / "__init__.py").write_text("found = 'imported'\n", encoding="utf-8")
    if content is not None:
        for name in ("libtorch.so", "libtorch.dylib"):
            (package / "lib" / name).write_bytes(content)
    assert printed(f"sys.path.insert(0, {str(tmp_path)!r}); preload_torch(); import torch; print(torch.found)") == ["imported"]


def test_without_torch_nothing_happens():
    hidden = "import importlib.util; importlib.util.find_spec = lambda name: None"
    assert printed(f"{hidden}; preload_torch(); print('torch' in sys.modules)") == ["False"]
