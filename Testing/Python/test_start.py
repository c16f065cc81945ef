"""What is imported before a user sees anything happen: seconds of every start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from tiny_models import save_unet

TESTING = Path(__file__).resolve().parents[1]
MODULE = TESTING.parent / "AttentionSeg"
# What an engine is made of, with whatever that brings.
ENGINE = "import torch, monai.inferers, safetensors.torch, jsonschema, jsonschema.validators"
LISTED = "names = {name for name in sys.modules if name.partition('.')[0] not in sys.stdlib_module_names}"
TOP_LEVEL = "sorted({name.partition('.')[0] for name in names} | names & {'torch._dynamo', 'torch._inductor'})"


def printed(code: str) -> set[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (MODULE, TESTING))), "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([sys.executable, "-c", f"import sys\n{code}"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the names of the standard library are not known")
def test_an_attention_unet_sees_its_first_patch_with_torch_and_little_else(tmp_path):
    model = save_unet(tmp_path / "tiny")
    scan = tmp_path / "scan.nii.gz"
    write_map(Image(np.random.default_rng(0).normal(100, 30, (1, 20, 20, 20)), np.eye(4)), scan)
    code = f"""
from AttentionSegLib.cli import main
from AttentionSegLib.inference.progress import Progress
step = Progress.step

def first_patch(progress, fraction):
    if progress._stage == "network" and not loaded:
        {LISTED}
        loaded.extend({TOP_LEVEL})
    step(progress, fraction)

loaded, Progress.step = [], first_patch
assert main(["segment", {str(scan)!r}, "--model", {str(model)!r}, "--output", {str(tmp_path / "out")!r}, "--backend", "torch"]) == 0
print(*loaded)
"""
    assert printed(code) - printed(f"{ENGINE}\n{LISTED}\nprint(*{TOP_LEVEL})") == {"AttentionSegLib"}


def test_the_panel_is_there_without_what_its_runs_need():
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    pytest.importorskip("PySide6", reason="PySide6 is not installed", exc_type=ImportError)
    code = """
import importlib, pkgutil, slicer, stand_ins
stand_ins.install()
before = set(sys.modules)
import AttentionSegLib.ui
for module in pkgutil.iter_modules(AttentionSegLib.ui.__path__, "AttentionSegLib.ui."):
    importlib.import_module(module.name)
from AttentionSegLib.ui.model_list import model_choices
assert model_choices()
print("AttentionSegLib", *(set(sys.modules) - before) & {"torch", "monai", "scipy", "matplotlib", "SimpleITK", "pydicom", "lightning", "openvino"})
"""
    assert printed(code) == {"AttentionSegLib"}


@pytest.mark.parametrize(("chosen", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
@pytest.mark.parametrize(
    "way",
    [
        "from AttentionSegLib.cli import main; main(['models'])",
        "from AttentionSegLib.inference.shared_libraries import preload_torch; preload_torch()",
    ],
    ids=["command line", "panel"],
)
def test_waiting_threads_sleep_unless_the_user_chose_otherwise(monkeypatch, way, chosen, policy):
    """On a busy computer, threads that compute while they wait hold each other up: a pass of a network took 1.7 times as long."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if chosen is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    assert printed(f"import os; {way}; print(os.environ['OMP_WAIT_POLICY'])") == {policy}
