"""Segmentation of every frame of a sequence, one after the other, in the background. Without Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..mrml.regions import region_from_roi
from ..mrml.sequences import FrameSegmentations, frame_image, shown_frame
from ..progress import Reporter
from ..reporting import measure
from .drawing import drawn_once
from .task import Job, Result, State, Task
from .translation import tr as _

if TYPE_CHECKING:
    import slicer

    from ..inference import Prediction
    from ..progress import Cancel, OnProgress
    from ..reporting import Measurement
    from .segmenter import Options, Segmenter


@dataclass(frozen=True, eq=False)
class SegmentedSequence:
    """Result of a sequence.

    Attributes:
        sequence: of segmentations, one frame per volume.
        segmentation: node that shows the current frame of it.
        volume: the input, which shows the current frame of its sequence.
        statistics: a `Measurement` per label of the model, for each frame.
        computed_on: device and back end as text.
        notes: of the runs, without duplicates.
    """

    sequence: slicer.vtkMRMLSequenceNode
    segmentation: slicer.vtkMRMLSegmentationNode
    volume: slicer.vtkMRMLScalarVolumeNode
    statistics: tuple[tuple[Measurement, ...], ...]
    computed_on: str
    notes: tuple[str, ...]

    def message(self, seconds: float) -> str:
        """The message for the user after a run of so many seconds."""
        text = _("{count} frames done in {seconds:.1f} s on {device}; the segmentation follows the frame shown, the table is that of frame {shown}.")
        shown = shown_frame(self.volume)
        number = 1 if shown is None else shown.number + 1
        return " ".join([text.format(count=len(self.statistics), seconds=seconds, device=self.computed_on, shown=number), *self.notes])


class SequenceTask(Job[Result]):
    """A series of tasks. Main thread only.

    Args:
        frames: number of frames.
        start: called with the number of a frame, counted from 0, and an `on_change` function; returns its task.
        finish: called once all are done; its return value is the result.
        on_change: called with this task whenever its state or progress has changed.

    Raises:
        InputError: if the first frame cannot be used. Later errors become the task's error.
    """

    def __init__(
        self,
        frames: int,
        start: Callable[[int, Callable[[Task], None]], Task],
        finish: Callable[[], Result],
        on_change: Callable[[Any], None] | None = None,
    ) -> None:
        super().__init__(State.PREDICTING, "load", on_change)
        self._frames, self._start, self._finish = frames, start, finish
        self._frame, self._clock = 0, Reporter()
        self._task = start(0, self._heard)

    def cancel(self) -> None:
        super().cancel()
        self._task.cancel()

    def poll(self) -> bool:
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
            with drawn_once():
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
        # Any error is kept, to be shown in the panel.
        except Exception as error:  # noqa: BLE001
            self.error = error
            self._become(State.FAILED)
        else:
            self._become(State.DONE)

    def _heard(self, task: Task) -> None:
        if task.state is not State.PREDICTING:
            return
        done = (self._frame + task.progress[0]) / self._frames
        # The first frame includes loading the model, so that the estimate would be too long.
        left = self._clock.seconds_left(done, 1 - done) if self._frame else None
        self.progress = (done, _("Frame {number} of {count}").format(number=self._frame + 1, count=self._frames), left)
        self._changed()


def start_sequence(
    segmenter: Segmenter,
    options: Options,
    volume: slicer.vtkMRMLScalarVolumeNode,
    region: slicer.vtkMRMLMarkupsROINode | None = None,
    on_change: Callable[[Any], None] | None = None,
) -> SequenceTask[SegmentedSequence]:
    """Segment every frame of the sequence that a volume belongs to, with a model of one input, in the same region. Frames get no maps.

    The caller polls the task until it ends. The scene gets the segmentations of all frames at the end, or nothing.

    Raises:
        InputError: if the volume belongs to no sequence, or region or first frame cannot be used.
    """
    shown = shown_frame(volume)
    if shown is None:
        msg = f"{volume.GetName()} shows no frame of a sequence; segment it as a volume."
        raise InputError(msg)
    roi = None if region is None else region_from_roi(region, volume)
    found, done = FrameSegmentations(shown.sequence), []

    def start(number: int, on_frame: Callable[[Task], None]) -> Task:
        image = frame_image(shown.sequence, number)

        def work(on_progress: OnProgress, cancel: Cancel) -> tuple[Prediction, tuple[Measurement, ...]]:
            predictor = segmenter.predictor(options, cancel)
            prediction = predictor(image, roi, on_progress=on_progress, cancel=cancel, attention=False, rescale=options.run.rescale)
            return prediction, tuple(measure(prediction))

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
