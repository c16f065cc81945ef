"""Work in threads: how it ends when its nodes go, and when the application does."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import slicer
from AttentionSegLib.errors import Cancelled, InputError
from AttentionSegLib.ui import task as task_module
from AttentionSegLib.ui.task import State, Task, stop_all
from doubles import make_scan

LIBRARY = Path(__file__).resolve().parents[3] / "AttentionSeg"


@pytest.fixture(autouse=True)
def streams(monkeypatch):
    """What `stop_all` takes out of reach comes back."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))


def until_cancelled(_on_progress, cancel):
    while not cancel():
        time.sleep(0.005)
    raise Cancelled


def wait(task):
    while task.poll():
        time.sleep(0.005)
    return task


class TestDrawing:
    """Slicer draws all views in the middle of a change, unless drawing is paused."""

    @pytest.fixture
    def heard(self, monkeypatch):
        """What is done, in order; after it `later`: what the event loop does next."""
        heard, later = [], []
        pausing = {"pauseRender": lambda: heard.append("pause"), "resumeRender": lambda: heard.append("resume")}
        monkeypatch.setattr(slicer, "app", SimpleNamespace(**pausing), raising=False)
        timer = SimpleNamespace(singleShot=lambda _milliseconds, function: later.append(function))
        monkeypatch.setitem(sys.modules, "qt", SimpleNamespace(QTimer=timer))
        return heard, later

    def test_a_result_is_drawn_once_after_it_is_complete(self, heard):
        heard, later = heard
        wait(Task(lambda *_: 1, lambda _found: heard.append("publish"), lambda task: heard.append(task.state)))
        assert heard == [State.PUBLISHING, "pause", "publish", State.DONE]
        later[0]()
        assert heard[4:] == ["resume"]

    def test_drawing_goes_on_after_a_failure(self, heard):
        heard, later = heard
        task = wait(Task(lambda *_: 1, lambda _found: 1 / 0))
        later[0]()
        assert (task.state, heard) == (State.FAILED, ["pause", "resume"])


class TestCancel:
    @pytest.mark.parametrize(("told", "ends"), [(None, True), ("load", True), ("network", False)])
    def test_only_what_has_not_begun_is_left_to_end_by_itself(self, told, ends):
        """An import of seconds knows no wish to stop; nor must the user wait for it."""
        begun, go_on, published = threading.Event(), threading.Event(), []

        def work(on_progress, _cancel):
            if told is not None:
                on_progress(0.0, told, None)
            begun.set()
            go_on.wait(30)

        task = Task(work, published.append)
        begun.wait(30)
        task.cancel()
        assert task.poll() is not ends
        go_on.set()
        assert wait(task).state is State.CANCELLED
        assert published == []


class TestNodes:
    def test_a_deleted_node_ends_the_run_in_one_sentence(self, scene):
        volume = make_scan(scene)
        task = Task(until_cancelled, lambda found: found, nodes=[volume])
        assert task.poll()
        scene.RemoveNode(volume)
        wait(task)
        assert task.state is State.FAILED
        assert isinstance(task.error, InputError)
        assert str(task.error) == "Stopped, because T1 was deleted."

    def test_whoever_cancelled_before_has_cancelled(self, scene):
        volume = make_scan(scene)
        task = Task(until_cancelled, lambda found: found, nodes=[volume])
        task.cancel()
        scene.RemoveNode(volume)
        assert wait(task).state is State.CANCELLED

    def test_what_came_out_all_the_same_is_not_published(self, scene):
        volume, published = make_scan(scene), []
        task = Task(lambda _on_progress, _cancel: 1, published.append, nodes=[volume])
        scene.RemoveNode(volume)
        assert wait(task).state is State.FAILED
        assert published == []


class TestReading:
    def test_one_step_with_each_poll_and_then_the_work(self):
        taken = []

        def steps():
            for number in range(3):
                taken.append((number, threading.get_ident()))
                yield

        task = Task(lambda _on_progress, _cancel: len(taken), lambda found: found, read=steps())
        for count in (1, 2, 3):
            assert task.state is State.READING
            task.poll()
            assert taken == [(number, threading.get_ident()) for number in range(count)]
        assert wait(task).result == 3

    def test_what_cannot_be_read_fails_the_run(self):
        def steps():
            yield
            msg = "b has no voxels."
            raise InputError(msg)

        task = wait(Task(until_cancelled, lambda found: found, read=steps()))
        assert task.state is State.FAILED
        assert str(task.error) == "b has no voxels."

    def test_cancelled_while_reading(self):
        task = Task(until_cancelled, lambda found: found, read=iter(lambda: 0, 1))
        task.poll()
        task.cancel()
        assert wait(task).state is State.CANCELLED


class TestQuitting:
    def test_all_work_is_stopped_and_waited_for(self):
        tasks = [Task(until_cancelled, lambda found: found) for _ in range(2)]
        assert stop_all(30)
        assert all(task._future.done() for task in tasks)
        assert not task_module._running

    def test_work_that_does_not_listen_is_left_behind_in_time(self):
        release = threading.Event()
        Task(lambda _on_progress, _cancel: release.wait(60), lambda found: found)
        before = time.monotonic()
        assert not stop_all(0.05)
        assert time.monotonic() - before < 30
        release.set()
        assert stop_all(30)

    def test_where_nothing_runs_the_log_stays_as_it_is(self):
        before = [list(handler.filters) for handler in logging.getLogger().handlers]
        assert stop_all()
        assert [list(handler.filters) for handler in logging.getLogger().handlers] == before

    def test_whatever_ends_late_does_not_reach_the_applications_log(self, tmp_path):
        """A program whose log handler ends the process, as that of an application does which is half taken down."""
        program = f"""
import logging, os, sys, threading, time
sys.path.insert(0, {str(LIBRARY)!r})
from AttentionSegLib.ui.task import Task, stop_all

main = threading.get_ident()
heard = []

class Gone(logging.Handler):
    def emit(self, record):
        if record.thread != main:
            os.abort()
        heard.append(record.getMessage())

class Stream:
    def write(self, text):
        os.abort()

    def flush(self):
        pass

def deaf(on_progress, cancel):
    time.sleep(1)
    logging.getLogger("matplotlib").warning("from the thread")
    print("printed in the thread")
    open(sys.argv[1], "w").close()

logging.getLogger().addHandler(Gone())
out, sys.stdout = sys.stdout, Stream()
Task(deaf, print)
assert not stop_all(0.05)
logging.getLogger().warning("from the application")
assert heard == ["from the application"], heard
"""
        done = tmp_path / "done"
        ended = subprocess.run([sys.executable, "-c", program, str(done)], capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == 0, ended.stderr
        assert done.is_file()
        assert "printed in the thread" in ended.stdout
