"""Loading ahead of the first run: done once, whoever asks, and given up when asked to."""

from __future__ import annotations

import gc
import threading
import time

import heads
import numpy as np
import pytest
from AttentionSegLib.errors import Cancelled, InputError
from AttentionSegLib.inference import predictor as engine
from AttentionSegLib.inference import region_search
from AttentionSegLib.ui.segmenter import Options, Segmenter
from AttentionSegLib.ui.task import State
from doubles import make_scan
from scenes import make_volume

UNET = Options("tiny-unet")


def ended(task):
    end = time.monotonic() + 60
    while task.poll():
        assert time.monotonic() < end, "the task did not end"
        time.sleep(0.002)
    return task


@pytest.fixture
def loads(monkeypatch):
    """Which steps of loading were done: `model` and `network`. Each waits until the event `go` is set."""
    done, go = [], threading.Event()
    go.set()

    def slowly(original, step):
        def slow(*arguments):
            done.append(step)
            go.wait(60)
            return original(*arguments)

        return slow

    monkeypatch.setattr(engine, "load_model", slowly(engine.load_model, "model"))
    monkeypatch.setattr(engine, "prepare_backend", slowly(engine.prepare_backend, "network"))
    return done, go


def loading(segmenter, loads):
    """A task that loads, held up in the middle of it."""
    done, go = loads
    go.clear()
    ahead = segmenter.warm(UNET)
    while not done:
        time.sleep(0.002)
    return ahead


def test_a_run_finds_everything_loaded(scene, loads):
    segmenter = Segmenter()
    assert ended(segmenter.warm(UNET)).state is State.DONE
    assert loads[0] == ["model", "network"]
    segmenter.segment(UNET, [make_scan(scene)])
    ended(segmenter.warm(UNET))
    assert loads[0] == ["model", "network"]


def test_no_search_for_garbage_while_a_model_is_loaded(monkeypatch):
    """A network may import MONAI, among whose objects a search takes 0.3 s, in which the application stands still."""
    searched, load = [], engine.load_model
    monkeypatch.setattr(engine, "load_model", lambda *arguments: searched.append(gc.isenabled()) or load(*arguments))
    Segmenter().predictor(UNET)
    assert searched == [False]
    assert gc.isenabled()


def test_a_run_that_starts_meanwhile_waits_and_loads_nothing_again(scene, loads):
    done, go = loads
    segmenter = Segmenter()
    ahead, run = loading(segmenter, loads), segmenter.start(UNET, [make_scan(scene)])
    time.sleep(0.2)
    assert (ahead.poll(), run.poll()) == (True, True)
    go.set()
    assert (ended(run).state, ended(ahead).state) == (State.DONE, State.DONE)
    assert done == ["model", "network"]


def test_a_run_that_waits_can_be_cancelled(scene, loads):
    _, go = loads
    segmenter = Segmenter()
    ahead, run = loading(segmenter, loads), segmenter.start(UNET, [make_scan(scene)])
    run.cancel()
    assert ended(run).state is State.CANCELLED
    assert ahead.poll()
    go.set()
    assert ended(ahead).state is State.DONE


def test_loading_ends_after_the_step_it_is_at(loads):
    done, go = loads
    segmenter = Segmenter()
    ahead = loading(segmenter, loads)
    ahead.cancel()
    go.set()
    assert ended(ahead).state is State.CANCELLED
    assert done == ["model"]
    with pytest.raises(Cancelled):
        segmenter.predictor(UNET, lambda: True)


def test_what_a_run_looks_for_is_found_ahead(scene, tmp_path, monkeypatch):
    options = Options(heads.save_finder(tmp_path / "finder"))
    head, _ = heads.head((6, -4, 5), spacing=2.0)
    node = make_volume(scene, head.affine, head.voxels[0])
    segmenter = Segmenter()
    assert ended(segmenter.warm(options, node)).state is State.DONE

    def no_more(*_):
        raise AssertionError("It was looked for again.")

    monkeypatch.setattr(region_search, "find_by_template", no_more)
    assert set(segmenter.segment(options, [node]).prediction.regions) == {"right", "left"}


def test_where_nothing_is_found_the_run_says_so(scene, tmp_path):
    options = Options(heads.save_finder(tmp_path / "finder"))
    node = make_volume(scene, np.diag([2.5, 2.5, 2.5, 1]), np.random.default_rng(0).random((60, 60, 60)).astype(np.float32))
    segmenter = Segmenter()
    assert ended(segmenter.warm(options, node)).state is State.FAILED
    with pytest.raises(InputError, match="were not found in"):
        segmenter.segment(options, [node])


def test_a_model_that_cannot_be_loaded_is_the_error_of_the_task_and_of_the_run(scene):
    segmenter = Segmenter()
    ahead = ended(segmenter.warm(Options("no-such-model")))
    assert ahead.state is State.FAILED
    run = ended(segmenter.start(Options("no-such-model"), [make_scan(scene)]))
    assert "no-such-model" in str(ahead.error)
    assert str(run.error) == str(ahead.error)
