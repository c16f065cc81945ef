"""A batch on Dask workers: the same results as here, though one of them dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from AttentionSegLib.batch import segment_folder
from AttentionSegLib.errors import InputError
from batch_scans import write_scan

distributed = pytest.importorskip("distributed")

PACKAGES = Path(segment_folder.__code__.co_filename).parents[2]
CASES = 6


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for seed in range(CASES):
        write_scan(folder / f"scan{seed}.nii.gz", seed)
    (folder / "text.nii").write_text("This is no scan. " * 40)
    return folder


@pytest.fixture
def cluster(monkeypatch):
    """Two worker processes of one thread."""
    monkeypatch.setenv("PYTHONPATH", str(PACKAGES))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


def results(output: Path) -> dict[str, bytes]:
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in (output / "cases").rglob("*.nrrd")}


@pytest.mark.slow
def test_results_are_the_same_though_a_worker_is_killed(scans, model, cluster, tmp_path):
    options = {"attention": False, "device": "cpu", "backend": "torch"}
    here = segment_folder(scans, tmp_path / "here", model, **options)
    victim = next(iter(cluster.workers.values())).pid
    killer = threading.Thread(target=kill_when_busy, args=(victim, tmp_path / "there" / "manifest.jsonl"))
    killer.start()
    there = segment_folder(scans, tmp_path / "there", model, scheduler=cluster.scheduler_address, **options)
    killer.join()
    assert (there.done, there.failed) == (here.done, here.failed)
    assert results(tmp_path / "there") == results(tmp_path / "here")


def kill_when_busy(process: int, manifest: Path) -> None:
    """Kill a process once a case is done."""
    ended = time.monotonic() + 120
    while time.monotonic() < ended and not (manifest.is_file() and manifest.stat().st_size):
        time.sleep(0.02)
    os.kill(process, signal.SIGKILL)


def test_a_scheduler_that_does_not_answer(scans, model, tmp_path, monkeypatch):
    monkeypatch.setattr("AttentionSegLib.batch.scheduler.CONNECT_SECONDS", 0.5)
    with pytest.raises(InputError, match=r"The scheduler tcp://127\.0\.0\.1:9 does not answer or has no worker"):
        segment_folder(scans, tmp_path / "out", model, scheduler="tcp://127.0.0.1:9")
    assert not (tmp_path / "out").exists()
