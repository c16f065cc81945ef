"""Doubles of what only the application has: a panel, an installer, and the timer that looks after a run."""

from __future__ import annotations

import time

import numpy as np
from AttentionSegLib.ui.presenter import Presenter
from AttentionSegLib.ui.segmenter import Segmenter
from AttentionSegLib.ui.settings import Settings
from AttentionSegLib.ui.train_presenter import TrainPresenter
from scenes import AFFINES, make_volume

# One patch of the tiny models.
SHAPE = (16, 16, 16)


class PanelDouble:
    """Keeps what it was told to show."""

    def __init__(self):
        self.all, self.progress, self.questions, self.path = [], [], [], ""
        self.agrees = True

    def show(self, shown):
        self.all.append(shown)

    def show_progress(self, fraction, text):
        self.progress.append((fraction, text))

    def ask(self, question):
        self.questions.append(question)
        return self.agrees

    def choose_model(self):
        return str(self.path)

    def choose_archive(self, name):
        self.questions.append(name)
        return str(self.path)

    @property
    def shown(self):
        return self.all[-1]

    @property
    def states(self):
        """Each state once, in the order in which it was shown."""
        states = [shown.state.value for shown in self.all]
        return [state for index, state in enumerate(states) if index == 0 or states[index - 1] != state]


class InstallationDouble:
    """Packages that come when they are installed, or fail to."""

    def __init__(self, missing=(), error=None):
        self._missing, self._error = list(missing), error

    def missing(self):
        return self._missing

    def question(self, missing):
        return f"Install {', '.join(missing)}?"

    def install(self, on_line, on_end):
        on_line("Collecting ...")
        if self._error is None:
            self._missing = []
        on_end(self._error)


class Application:
    """A presenter with its doubles around it."""

    def __init__(self, scene, installation=None, view=None):
        self.scene, self.view, self.results = scene, view or PanelDouble(), []
        self.polls = []
        node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "AttentionSeg")
        self.settings = Settings(node)
        self.segmenter = Segmenter()
        self.when_idle = []
        self.presenter = Presenter(
            self.view,
            self.settings,
            self.segmenter,
            installation or InstallationDouble(),
            self.keep_polling,
            self.on_result,
            self.when_idle.append,
        )

    def on_result(self, result):
        self.results.append(result)

    def keep_polling(self, poll):
        self.polls.append(poll)

    def choose(self, model="tiny-unet", volume=None):
        """The two choices before the button."""
        volume = volume or make_scan(self.scene)
        self.presenter.choose_model(model)
        self.presenter.choose_input(0, volume)
        return volume

    def wait(self, at_most=60):
        """Look after the runs until they end, as the timer does."""
        end = time.monotonic() + at_most
        while self.polls:
            assert time.monotonic() < end, "the run did not end"
            self.polls = [poll for poll in self.polls if poll()]
            time.sleep(0.002)

    def run(self):
        self.presenter.press()
        self.wait()
        assert self.presenter.state.value == "done", self.view.shown.message + self.view.shown.details
        return self.results[-1]


def make_scan(scene, name="T1", shape=SHAPE):
    voxels = np.random.default_rng(3).normal(100, 30, shape).astype(np.float32)
    return make_volume(scene, AFFINES["RAS"], voxels, name)


def form_application(scene):
    """An application with a model chosen, for the forms of the other sections."""
    app = Application(scene)
    app.presenter.choose_model("tiny-unet")
    app.settings.device = "cpu"
    return app


def form(app, kind, *more):
    app.form_view = PanelDouble()
    return kind(app.form_view, app.settings, InstallationDouble(), app.keep_polling, *more)


def training_form(app):
    """What the presenter tells of new models is in `app.trained`."""
    app.trained = []
    return form(app, TrainPresenter, app.trained.append)
