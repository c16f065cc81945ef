"""Progress as a person sees it: a bar that moves on a terminal, plain lines in a log."""

from __future__ import annotations

import io
import os
import re
import time

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.terminal import ProgressDisplay
from tiny_models import intensity_model


@pytest.fixture
def image() -> Image:
    return Image(np.random.default_rng(0).random((1, 40, 24, 24)), np.eye(4))


class TestLog:
    def test_a_line_per_stage_and_tenth(self, image):
        log = io.StringIO()
        with ProgressDisplay(log) as show:
            Predictor(intensity_model(overlap=0.75), "cpu")(image, on_progress=show)
        lines = log.getvalue().splitlines()
        assert 10 <= len(lines) <= 20
        assert lines[0] == "prepare: 0%"
        assert lines[-1] == "done: 100%"
        assert all(re.fullmatch(r"[a-z]+: [0-9]+%(, [0-9]+ s left)?", line) for line in lines)
        assert "\r" not in log.getvalue()

    def test_a_stage_that_begins_again_is_told_again(self):
        log = io.StringIO()
        with ProgressDisplay(log) as show:
            for fraction in (0.05, 0.31, 0.35, 0.05):
                show(fraction, "network", None)
        assert log.getvalue().splitlines() == ["network: 5%", "network: 31%", "network: 5%"]

    @pytest.mark.parametrize(("seconds", "said"), [(99.0, "99 s left"), (100.0, "2 min left"), (5000.0, "83 min left"), (9000.0, "2.5 h left")])
    def test_what_is_left_comes_in_a_unit_that_fits(self, seconds, said):
        stream = io.StringIO()
        with ProgressDisplay(stream) as show:
            show(0.1, "epoch 1", seconds)
        assert stream.getvalue() == f"epoch 1: 10%, {said}\n"


def everything_from(reader: int) -> str:
    parts = []
    try:
        while part := os.read(reader, 65536):
            parts.append(part)
    except OSError:
        # How Linux says that the other end was closed.
        pass
    return b"".join(parts).decode()


@pytest.mark.skipif(os.name != "posix", reason="there are pseudo-terminals on posix systems only")
class TestTerminal:
    @pytest.fixture
    def terminal(self):
        """A stream to write to, and a function that closes it and gives what the terminal was sent."""
        reader, writer = os.openpty()
        stream = os.fdopen(writer, "w", encoding="utf-8")
        yield stream, lambda: stream.close() or everything_from(reader)
        stream.close()
        os.close(reader)

    def test_a_bar_that_moves_and_leaves_no_trace(self, terminal):
        stream, sent = terminal
        with ProgressDisplay(stream) as show:
            for percent in range(101):
                time.sleep(0.005)
                show(percent / 100, "network", 3.0)
        text = sent()
        assert "\n" not in text
        frames = [frame for frame in text.split("\r") if frame.strip()]
        assert all(re.fullmatch(r"[a-z]* *\|.{30}\| +[0-9]+ %(, [0-9]+ s left)? *", frame) for frame in frames)
        percents = [int(re.search(r"([0-9]+) %", frame)[1]) for frame in frames if "network" in frame]
        assert len(percents) > 2
        assert percents == sorted(percents)
        assert not text.split("\r")[-1].strip()

    def test_a_slow_stage_after_a_fast_one_is_shown_at_once(self, terminal):
        stream, sent = terminal
        with ProgressDisplay(stream) as show:
            time.sleep(0.15)
            show(0.5, "prepare", None)
            time.sleep(0.15)
            show(0.51, "network", None)
        assert "network" in sent()

    def test_an_error_gets_a_line_of_its_own(self, terminal):
        stream, sent = terminal

        def run() -> None:
            with ProgressDisplay(stream) as show:
                show(0.5, "network", 3.0)
                raise InputError("scan is odd.")

        with pytest.raises(InputError) as caught:
            run()
        print(f"attentionseg: {caught.value}", file=stream, flush=True)
        assert sent().endswith("\rattentionseg: scan is odd.\r\n")
