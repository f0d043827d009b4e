"""The loop of a station: a verdict for each new frame at once, explanations in the time that is left.

One thread. While an explanation grows, from 4 samples to 8 to 16 …, the source is polled after each step, and
new frames get their verdicts in between; so a verdict waits for half an explanation at most.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from gagrad_edge.errors import (
    FrameError,
    GagradError,
    InputError,
    ModelError,
    OutOfMemoryError,
    OutputError,
    TargetError,
)
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.decoder import SlowError
from gagrad_runtime.frame.decoding import is_memory, no_memory
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.report.report import Report
from gagrad_runtime.station import attempts, retention
from gagrad_runtime.station.events import (
    DroppedEvent,
    FailedEvent,
    QuarantinedEvent,
    now,
)
from gagrad_runtime.station.explaining import Explaining
from gagrad_runtime.station.findings import explained_event
from gagrad_runtime.station.judging import outcome, verdict_event
from gagrad_runtime.station.keeping import keep_frame, keep_layers, quarantine
from gagrad_runtime.station.parts import Parts
from gagrad_runtime.station.reuse import Explained, answer_of
from gagrad_runtime.station.store import stem_of
from gagrad_runtime.station.unread import Unread
from gagrad_runtime.station.waiting import Pending, Waiting
from gagrad_runtime.station.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.explanation.cautions import Caution
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.decoder import ChildDecoder
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.session.explainer import Explainer
    from gagrad_runtime.station.condition import Judgement
    from gagrad_runtime.station.config import RetentionTable
    from gagrad_runtime.station.events import EndEvent, Event, ExplainedEvent, HealthEvent, SourceEvent
    from gagrad_runtime.station.rule import Rule
    from gagrad_runtime.station.sources.source import Arrival, Source
    from gagrad_runtime.station.store import State, Store

PATIENCE = 1.5
"""Longest time for the pixels of a frame while others are there, seconds; a slow one comes last."""
SLICE = 1.0
"""Longest wait in which a signal is not seen, seconds."""
RESTING = 10.0
"""Seconds without a frame after which the memory of explanations is given back."""
_ENDED = f"the station ended {attempts.MOST} times while it worked on this frame"
_log = logging.getLogger(__name__)


def _is_greedy(error: Exception) -> bool:
    """Return whether ``error`` says that a frame took more memory than there is."""
    return isinstance(error, OutOfMemoryError) or is_memory(error)


def _question_of(judgement: Judgement | None) -> dict[str, str]:
    """Return what to explain of a part by what makes it NG, as keywords of ``explain``."""
    return {} if judgement is None or judgement.condition is None else judgement.condition.question


@dataclass
class Watch:
    """The loop of one station, and its state."""

    explainer: Explainer
    source: Source
    store: Store
    rule: Rule
    explaining: Explaining = field(default_factory=Explaining)
    """What is explained of a frame, and how."""
    parts: Parts = field(default_factory=Parts)
    """What finds the parts' ids."""
    queue: int = 20
    """Most frames that wait for their explanation; beyond it the oldest is dropped."""
    retention: RetentionTable | None = None
    interval: float = 0.5
    """Seconds between polls of an idle source."""
    pictured: bool = False
    """Whether a receiver gets pictures: then the layers of a page are kept, too."""
    on_event: Callable[[Event], None] = lambda _: None
    """Called with each event, after its row is stored."""
    on_progress: Callable[[], None] = lambda: None
    """Called after each step of the loop."""
    stopping: bool = False
    camera: SourceEvent | None = field(default=None, init=False)
    """The last change of the camera's state; None before one, and for other sources."""
    decoder: ChildDecoder | None = None
    """What decodes the files of the source."""
    _waiting: Waiting = field(init=False)
    _last: deque[Arrival] = field(default_factory=deque, init=False)
    """Frames that come behind all others: the station ended during their first attempt, or they are slow."""
    _explained: Explained | None = field(default=None, init=False)
    """The last frame that was explained, at a station that uses explanations again."""
    _unread: Unread = field(default_factory=Unread, init=False)
    _writes: Writes = field(default_factory=Writes, init=False)
    _source_error: str = field(default="", init=False)
    """Error of the last poll of the source; empty when it succeeded."""
    _quarantine_grew: bool = field(default=True, init=False)
    """Whether a file was put aside since retention looked at them; also after a start."""

    def __post_init__(self) -> None:
        self._waiting = Waiting(self.queue)

    @property
    def degraded(self) -> bool:
        """Whether results cannot be stored at the moment."""
        return self._writes.degraded

    @property
    def waiting(self) -> int:
        """Frames that wait for their explanation."""
        return len(self._waiting)

    def stop(self) -> None:
        """End ``run`` after the step under way."""
        self.stopping = True

    def report(self, event: HealthEvent) -> None:
        """Publish ``event``; one that cannot be stored is not kept for later, as the next one says more."""
        self._writes.attempt(lambda: self.store.publish(event))
        self.on_event(event)

    def run(self, *, once: bool = False) -> None:
        """Work until ``stopping`` or the source has ended, or, with ``once``, until nothing new comes.

        Raises DeviceError.
        """
        try:
            self._run(once=once)
        finally:
            self._writes.close()

    def _run(self, *, once: bool) -> None:
        self._resume()
        idle = 0
        while not self.stopping:
            self.on_progress()
            self._heal()
            busy = self._verdicts() or self._explain()
            if busy:
                self._retain()
                idle = 0
                continue
            idle += 1
            if not self._last and (self.source.ended or (once and idle > 2 and not self._unread)):
                return
            if idle * self.interval >= RESTING > (idle - 1) * self.interval:
                self.explainer.rest()
            self._idle()

    def _idle(self) -> None:
        """Wait for a frame, at most ``interval`` seconds, and not long for a signal to stop."""
        until = time.monotonic() + self.interval
        while not self.stopping and (left := until - time.monotonic()) > 0:
            if self.source.wait(min(left, SLICE)):
                return
            self.on_progress()

    def _heal(self) -> None:
        """Mend what happened to the index and the folder of results, and publish it."""
        for event in self._writes.attempt(self.store.heal) or ():
            self.on_event(event)
        self._writes.retry()

    def _retain(self) -> None:
        """Keep the results within the limits, also on a line where nothing is explained."""
        limits = self.retention
        if limits is None:
            return
        if self._quarantine_grew:
            retention.apply_to_quarantine(self.store, limits)
            self._quarantine_grew = False
        self._writes.attempt(lambda: retention.apply(self.store, limits))

    def _resume(self) -> None:
        """Queue the frames that waited when the last run ended. They are read when it is their turn."""
        self._heal()
        for row in self.store.rows("waiting"):
            self._enqueue(Pending(row.id, row.name, row.sha256, None))

    def _verdicts(self) -> bool:
        """Give each new frame its verdict; return whether there were any."""
        if self.source.lossless and self._waiting.full:
            return False
        arrivals = self._poll()
        for event in self.source.events():
            self.camera = event
            self._writes.in_order(partial(self.store.publish, event))
            self.on_event(event)
        arrivals = self._unread.due() + arrivals
        again = not arrivals and bool(self._last)
        if again:
            arrivals = [self._last.popleft()]
        for arrival in arrivals:
            if self.stopping:
                break
            if self.decoder is not None:
                self.decoder.patience = None if arrival is arrivals[-1] else PATIENCE
            self._frame(arrival, again)
            self.on_progress()
        return bool(arrivals)

    def _poll(self) -> list[Arrival]:
        """Return the new frames. A source that is away is logged once, and polled again later."""
        try:
            arrivals = self.source.poll()
        except InputError as error:
            if error.what != self._source_error:
                _log.warning("%s", error)
            self._source_error = error.what
            return []
        if self._source_error and not self.source.lossless:
            _log.warning("the source gives frames again")
        self._source_error = ""
        return arrivals

    def _frame(self, arrival: Arrival, again: bool = False) -> None:
        """Give a frame its verdict, or say why there is none; ``again`` for one that comes last."""
        try:
            sha256 = arrival.sha256()
        except InputError as error:
            if not self._unread.keep(arrival, error):
                self._quarantine(arrival, error, "unreadable")
            return
        if self._has(arrival.name, sha256):
            self._unread.forget(arrival)
            return
        earlier = self._earlier(arrival.name, sha256)
        if earlier >= attempts.MOST:
            self._quarantine(arrival, FrameError(_ENDED, where=arrival.name), sha256)
        elif earlier and not again:
            self._last.append(arrival)
        else:
            with self._attempt(arrival.name, sha256):
                self._judge(arrival, sha256)

    def _earlier(self, name: str, sha256: str) -> int:
        """Return how many times the station ended while it worked on the frame."""
        return int(self._writes.attempt(lambda: self.store.earlier(name, sha256)) or 0)

    @contextlib.contextmanager
    def _attempt(self, name: str, sha256: str) -> Iterator[None]:
        """Mark in the index that the frame is worked on, for the case that the block never ends."""
        self._writes.attempt(lambda: self.store.begin(name, sha256))
        try:
            yield
        except KeyboardInterrupt:  # a signal ended it, and not the frame
            self._writes.attempt(lambda: self.store.leave(name, sha256))
            raise
        self._writes.attempt(lambda: self.store.leave(name, sha256))

    def _judge(self, arrival: Arrival, sha256: str) -> None:
        try:
            frame = arrival.frame()
        except SlowError:
            self._last.append(arrival)
            return
        except InputError as error:
            if not self._unread.keep(arrival, error):
                self._quarantine(arrival, error, sha256)
            return
        except Exception as error:  # noqa: BLE001 - whatever else one file raises is that file's
            failed = FrameError(f"it cannot be decoded ({type(error).__name__}: {error})", where=arrival.name)
            failed.__cause__ = error  # e.g. too many open files, which passes
            if not self._unread.keep(arrival, failed):
                _log.exception("%s cannot be decoded", arrival.name)
                self._quarantine(arrival, failed, sha256)
            return
        self._unread.forget(arrival)
        began = time.monotonic()
        try:
            seen, cautions = self.explainer.judge(frame)
        except ModelError as error:  # e.g. scores that are NaN: this frame fails, the station goes on
            self._refused(FailedEvent(time=now(), file=arrival.name, reason=error.what), sha256, "failed")
            return
        except Exception as error:
            if not _is_greedy(error):
                raise
            self._quarantine(arrival, no_memory(arrival.name), sha256)
            return
        self._verdict(arrival, sha256, frame, seen, cautions, began)

    def _verdict(
        self,
        arrival: Arrival,
        sha256: str,
        frame: Frame,
        seen: Prediction,
        cautions: Sequence[Caution] | None,
        began: float,
    ) -> None:
        """Store and publish what the model says of a frame, and queue it if it is to be explained."""
        judgement = self.rule.judge(seen)
        ng = None if judgement is None else judgement.ng
        wanted = self.rule.wants(seen.present, seen.probability, time.monotonic(), ng=ng)
        event = verdict_event(
            seen,
            frame,
            name=arrival.name,
            part=self.parts.of(arrival.name),
            sha256=sha256,
            cautions=cautions,
            explain=wanted,
            seconds=time.monotonic() - began,
            rule=self.rule,
            explainer=self.explainer,
            folder=self.store.folder,
        )
        name = arrival.name
        add = partial(
            self.store.add,
            name,
            sha256,
            event.time,
            state="waiting" if wanted else "verdict",
            verdict=seen.verdict,
            probability=seen.probability,
            event=event,
        )

        def late(number: int | None) -> None:
            if wanted and number is not None:
                self._enqueue(Pending(number, name, sha256, None))

        _, number = self._writes.in_order(add, late)
        self.on_event(replace(event, id=number))
        if wanted and number is not None:
            if arrival.path is None:  # a stream's frame exists nowhere else, and has to survive a power cut
                with contextlib.suppress(OutputError):
                    keep_frame(self.store.folder, stem_of(number, arrival.name), frame)
            answer = None if self.explaining.reuse is None else answer_of(seen, self.rule)
            question = _question_of(judgement)
            self._enqueue(Pending(number, arrival.name, sha256, frame, answer, question))

    def _enqueue(self, pending: Pending) -> None:
        if (oldest := self._waiting.put(pending)) is not None:
            reason = f"more than {self.queue} frames were waiting"
            self._finish(DroppedEvent(time=now(), id=oldest.number, file=oldest.name, reason=reason))

    def _pixels(self, pending: Pending) -> Frame | None:
        """Return the frame, read again if it was not kept in memory; None when it exists no more."""
        if pending.frame is not None:
            return pending.frame
        frame = self.source.reload(pending.name, pending.sha256)
        kept = self.store.frame_of(stem_of(pending.number, pending.name))
        if frame is None and kept is not None:
            with contextlib.suppress(InputError):
                frame = load_frame(kept)
        return frame

    def _explain(self) -> bool:
        """Explain the next frame that waits, with verdicts in between; return whether there was one."""
        if not self._waiting:
            return False
        pending = self._waiting.take()
        number, name = pending.number, pending.name
        if self._earlier(name, pending.sha256) >= attempts.MOST:
            self._finish(FailedEvent(time=now(), id=number, file=name, reason=_ENDED))
            return True
        with self._attempt(name, pending.sha256):
            if (frame := self._pixels(pending)) is None:
                reason = "its image was deleted before it was explained"
                self._finish(DroppedEvent(time=now(), id=number, file=name, reason=reason))
            else:
                self._refine(pending, frame)
        return True

    def _image(self, pending: Pending, frame: Frame) -> NDArray[np.float32] | None:
        """Return the model's image of a frame; None where no explanation is used again."""
        if self.explaining.reuse is None or pending.answer is None:
            return None
        return prepare(frame, self.explainer.manifest.input)[0]

    def _used_again(self, pending: Pending, frame: Frame, image: NDArray[np.float32] | None) -> bool:
        """Use the last explanation for a frame that shows the same; return whether it does."""
        last, most, began = self._explained, self.explaining.reuse, time.monotonic()
        if last is None or most is None or not last.shows(image, frame, pending.answer, most):
            return False
        if not all((self.store.folder / one).exists() for one in (last.event.record, last.event.picture)):
            return False  # removed to make room
        seconds = time.monotonic() - began
        event = last.event_of(pending.number, pending.name, pending.answer or last.answer, seconds)
        event = replace(event, part=self.parts.of(pending.name))
        try:
            self.store.finish(pending.number, "explained", event=event)
        except OutputError:
            return False
        self.on_event(event)
        return True

    def _refine(self, pending: Pending, frame: Frame) -> None:
        """Explain a frame, and keep the explanation."""
        number, name = pending.number, pending.name
        explanation: Explanation | None = None
        began = time.monotonic()
        try:
            if self.explaining.roi is not None:
                self.explaining.roi.on((frame.height, frame.width))  # before the work, not after it
            image = self._image(pending, frame)
            if self._used_again(pending, frame, image):
                return
            for better in self._refined(pending, frame):
                explanation = better
                self.on_progress()
                self._verdicts()
                if self.stopping:
                    break
        except (InputError, ModelError) as error:
            self._finish(FailedEvent(time=now(), id=number, file=name, reason=error.what))
            return
        except Exception as error:
            if not _is_greedy(error):
                raise
            reason = no_memory(name).what
            self._finish(FailedEvent(time=now(), id=number, file=name, reason=reason))
            return
        if explanation is not None:
            event = self._keep(number, name, explanation, time.monotonic() - began)
            if not self.stopping:
                self._explained = Explained.of(frame, image, pending.answer, event)

    def _refined(self, pending: Pending, frame: Frame) -> Iterator[Explanation]:
        """Yield better and better explanations of a frame; only the last one has a covering test."""
        asked = {**self._question(pending, frame), **self.explaining.settings, "measure_each": False}
        try:
            yield from self.explainer.refine(frame, **asked)
        except TargetError as error:
            # Known at the start to be a class of the model: so the part is of this class itself.
            if error.where != "against" or asked.pop("against", None) is None:
                raise
            yield from self.explainer.refine(frame, **asked)

    def _question(self, pending: Pending, frame: Frame) -> dict[str, str]:
        """Return what to explain of a frame: what makes it NG, or, by default, what the model says."""
        if not self.rule.ng or "target" in self.explaining.settings:
            return {}
        if pending.question is not None:
            return pending.question
        return _question_of(self.rule.judge(self.explainer.predict(frame)))

    def _keep(
        self, number: int, name: str, explanation: Explanation, seconds: float
    ) -> ExplainedEvent | None:
        """Store and publish an explanation, and return its event; None where it could not be stored."""
        stem = stem_of(number, name)
        report = Report(explanation, self.explaining.roi, self.explaining.roi_limit, part=self.parts.of(name))
        event = explained_event(
            report, number=number, file=name, stem=stem, seconds=seconds, rule_says=self._outcome(explanation)
        )

        def save() -> None:
            self._heal()
            if self.pictured:
                keep_layers(self.store.folder, stem, report)
            report.save(self.store.folder, stem=stem, raw=(), replace=True)
            size = self.store.files_size(stem)
            self.store.finish(number, "explained", stem=stem, size=size, event=event)

        try:
            try:
                save()
            except OutputError:
                # Room is made once, by a tenth: another program may be filling the disk, and then no removal
                # helps.
                retention.make_room(self.store)
                save()
        except OutputError as error:
            self._writes.kept(error)
            reason = "it could not be stored"
            self._finish(DroppedEvent(time=now(), id=number, file=name, reason=reason))
            return None
        self._writes.kept(None)
        self.on_event(event)
        return event

    def _outcome(self, explanation: Explanation) -> Literal["OK", "NG"] | None:
        return None if explanation.prediction is None else outcome(self.rule, explanation.prediction)

    def _finish(self, event: EndEvent) -> None:
        """Store and publish that a frame's wait ended without an explanation."""
        event = replace(event, part=self.parts.of(str(event.file)))
        done, _ = self._writes.in_order(partial(self._end, event))
        self.on_event(event if done else replace(event, stored=False))

    def _end(self, event: EndEvent) -> None:
        """Write the end of a wait to the row that ``event`` is about. Raises OutputError."""
        assert event.id is not None  # noqa: S101 - a frame without a row is never queued
        state: State = "dropped" if isinstance(event, DroppedEvent) else "failed"
        self.store.finish(event.id, state, reason=event.reason, event=event)

    def _quarantine(self, arrival: Arrival, error: GagradError, sha256: str) -> None:
        """Copy a file that is no usable image to ``quarantine/``, with the reason beside it."""
        self._unread.forget(arrival)
        if arrival.path is not None:
            quarantine(self.store.folder, arrival.path, str(error))
            self._quarantine_grew = True
        if not self._has(arrival.name, sha256):
            event = QuarantinedEvent(time=now(), file=arrival.name, reason=error.what)
            self._refused(event, sha256, "quarantined")

    def _has(self, name: str, sha256: str) -> bool:
        """Return whether the frame has a row, also one from before it was moved into a folder below.

        When that cannot be read it is new: better twice than never.
        """
        names = {name, name.rpartition("/")[2]}
        return bool(self._writes.attempt(lambda: any(self.store.has(one, sha256) for one in names)))

    def _refused(self, event: FailedEvent | QuarantinedEvent, sha256: str, state: State) -> None:
        """Store and publish that a frame got no verdict."""
        event = replace(event, part=self.parts.of(str(event.file)))
        _, number = self._writes.in_order(
            lambda: self.store.add(
                str(event.file), sha256, event.time, state=state, reason=event.reason, event=event
            )
        )
        self.on_event(replace(event, id=number))
