"""Every frame of a sequence segmented, one after the other, while the application stays alive. Without Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import InputError
from ..mrml.regions import region_from_roi
from ..mrml.segment import Scan, predict
from ..mrml.sequences import FrameSegmentations, frame_image, shown_frame
from ..progress import Reporter
from .task import State, Task
from .translation import tr as _

if TYPE_CHECKING:
    import slicer

    from ..inference import Prediction
    from ..progress import Cancel, OnProgress
    from ..reporting import Measurement
    from .segmenter import Options, Segmenter

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class SegmentedSequence:
    """What became of a sequence.

    Attributes:
        sequence: of segmentations, a frame for each of the volumes.
        segmentation: that shows a frame of it, together with the volume.
        volume: the input, which shows a frame of its sequence.
        statistics: a `Measurement` per label of the model, for each frame.
        computed_on: device and back end in words.
        notes: of the runs, each once.
    """

    sequence: slicer.vtkMRMLSequenceNode
    segmentation: slicer.vtkMRMLSegmentationNode
    volume: slicer.vtkMRMLScalarVolumeNode
    statistics: tuple[tuple[Measurement, ...], ...]
    computed_on: str
    notes: tuple[str, ...]

    def message(self, seconds: float) -> str:
        """What was done in so many seconds, in words."""
        text = _("{count} frames done in {seconds:.1f} s on {device}; the segmentation follows the frame shown, the table is that of frame {shown}.")
        shown = shown_frame(self.volume)
        number = 1 if shown is None else shown.number + 1
        return " ".join([text.format(count=len(self.statistics), seconds=seconds, device=self.computed_on, shown=number), *self.notes])


class SequenceTask(Generic[Result]):
    """Tasks one after the other that look like one: see `Task` for its attributes. Main thread only.

    Args:
        frames: how many.
        start: makes the task of a frame, counted from 0, with the function that it is given as `on_change`.
        finish: called once all are done; what it returns is the result.
        on_change: called with this task whenever it has something new to show.

    Raises:
        InputError: if the first frame cannot be used. What goes wrong later becomes the error.
    """

    def __init__(
        self,
        frames: int,
        start: Callable[[int, Callable[[Task], None]], Task],
        finish: Callable[[], Result],
        on_change: Callable[[Any], None] | None = None,
    ) -> None:
        self.state = State.PREDICTING
        self.progress: tuple[float, str, float | None] = (0.0, "load", None)
        self.result: Result | None = None
        self.error: Exception | None = None
        self._frames, self._start, self._finish, self._on_change = frames, start, finish, on_change
        self.cancelling = False
        self._frame, self._clock = 0, Reporter()
        self._task = start(0, self._heard)

    def cancel(self) -> None:
        """Ask the run to stop. Nothing of it reaches the scene."""
        self.cancelling = True
        self._task.cancel()

    def poll(self) -> bool:
        """Look after the run. True while there is more to wait for."""
        if not self.state.running:
            return False
        if self._task.poll():
            return True
        self.error = self._task.error
        if self._task.state is not State.DONE:
            self._become(self._task.state)
        elif self.cancelling:
            self._become(State.CANCELLED)
        else:
            self._go_on()
        return self.state.running

    def _go_on(self) -> None:
        try:
            if self._frame + 1 < self._frames:
                self._frame += 1
                self._task = self._start(self._frame, self._heard)
                return
            self._become(State.PUBLISHING)
            self.result = self._finish()
        # Whatever it was, it is shown in the panel and raised again by whoever waits for the result.
        except Exception as error:  # noqa: BLE001
            self.error = error
            self._become(State.FAILED)
        else:
            self._become(State.DONE)

    def _heard(self, task: Task) -> None:
        if task.state is not State.PREDICTING:
            return
        done = (self._frame + task.progress[0]) / self._frames
        # The first frame has the loading in it, and would promise too much time for the others.
        left = self._clock.seconds_left(done, 1 - done) if self._frame else None
        self.progress = (done, _("Frame {number} of {count}").format(number=self._frame + 1, count=self._frames), left)
        self._changed()

    def _become(self, state: State) -> None:
        self.state = state
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self)


def start_sequence(
    segmenter: Segmenter,
    options: Options,
    volume: slicer.vtkMRMLScalarVolumeNode,
    region: slicer.vtkMRMLMarkupsROINode | None = None,
    on_change: Callable[[Any], None] | None = None,
) -> SequenceTask[SegmentedSequence]:
    """Segment every frame of the sequence of which a volume shows one, by a model of one input, in the same region. Frames get no maps.

    Whoever asked polls the task until it ends. The scene gets the segmentations of all frames at the end, or nothing.

    Raises:
        InputError: if the volume shows no frame of a sequence, or region or first frame cannot be used.
    """
    shown = shown_frame(volume)
    if shown is None:
        msg = f"{volume.GetName()} shows no frame of a sequence; segment it as a volume."
        raise InputError(msg)
    roi = None if region is None else region_from_roi(region, volume)
    found, done = FrameSegmentations(shown.sequence), []

    def start(number: int, on_frame: Callable[[Task], None]) -> Task:
        scan = Scan(frame_image(shown.sequence, number), roi, volume, None)

        def work(on_progress: OnProgress, cancel: Cancel) -> tuple[Prediction, tuple[Measurement, ...]]:
            return predict(segmenter.predictor(options, cancel), scan, on_progress, cancel, attention=False, rescale=options.run.rescale)

        def add(frame: tuple[Prediction, tuple[Measurement, ...]]) -> None:
            prediction, statistics = frame
            found.add(prediction, number)
            done.append((statistics, prediction.computed_on, prediction.notes))

        return Task(work, add, on_frame, nodes=(volume, shown.sequence))

    def finish() -> SegmentedSequence:
        sequence = found.publish()
        statistics, devices, notes = zip(*done)
        alike = tuple(dict.fromkeys(note for several in notes for note in several))
        return SegmentedSequence(sequence, shown.browser.GetProxyNode(sequence), volume, statistics, devices[-1], alike)

    return SequenceTask(shown.count, start, finish, on_change)
