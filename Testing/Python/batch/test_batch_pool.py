"""Cases in work: never more than the pool takes, also where it becomes narrower meanwhile, as a cluster does that loses a worker."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from AttentionSegLib.batch.cohort import BatchCase
from AttentionSegLib.batch.manifest import DONE, Entry, Manifest
from AttentionSegLib.batch.pool import run_all
from AttentionSegLib.batch.progress import BatchProgress

CASES = [BatchCase(f"case{number}", (Path("scan"),)) for number in range(8)]


class NarrowingPool:
    """Takes four cases at a time until the first is done, then one; the other three end once it has told so."""

    def __init__(self) -> None:
        self.most_after = 0
        self._narrow, self._told = False, threading.Event()
        self._working: set[str] = set()
        self._threads = ThreadPoolExecutor(4)

    @property
    def width(self) -> int:
        if self._narrow:
            self._told.set()
        return 1 if self._narrow else 4

    def submit(self, case: BatchCase, _on_progress: object) -> Future[Entry]:
        self._working.add(case.name)
        if self._narrow:
            self.most_after = max(self.most_after, len(self._working))
        return self._threads.submit(self._run, case)

    def _run(self, case: BatchCase) -> Entry:
        if case in CASES[1:4]:
            assert self._told.wait(10)
        return Entry(case.name, DONE, [], None, None, "m 1", "0", {})

    def entry(self, case: BatchCase, future: Future[Entry]) -> Entry:
        self._working.remove(case.name)
        self._narrow = True
        return future.result()

    def stop(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return Manifest(tmp_path / "manifest.jsonl")


def test_a_pool_that_becomes_narrower(manifest):
    pool = NarrowingPool()
    run_all(pool, CASES, manifest, BatchProgress(len(CASES), None, None))
    assert sorted(Manifest(manifest.path).entries) == [case.name for case in CASES]
    assert pool.most_after == 1


class TestTimeLeft:
    """As if each case took 10 s, and each that fails no time."""

    @pytest.fixture
    def clock(self, monkeypatch):
        clock = SimpleNamespace(now=0.0)
        monkeypatch.setattr("AttentionSegLib.progress.time", SimpleNamespace(monotonic=lambda: clock.now))
        return clock

    def test_a_case_that_failed_at_once_tells_nothing_of_the_others(self, clock):
        told = []
        progress = BatchProgress(10, lambda *step: told.append(step), None)
        for _ in range(4):
            progress.end_case(ran=False)
            progress.step()
        assert [left for _fraction, _stage, left in told] == [None] * 4
        clock.now = 5.0
        progress.within_case(0.5, "network", None)
        progress.step()
        assert told[-1][2] == pytest.approx(55)
        clock.now = 10.0
        progress.end_case()
        progress.step()
        assert told[-1] == (pytest.approx(0.5), "case 6 of 10", pytest.approx(50))
