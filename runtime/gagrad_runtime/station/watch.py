"""The loop of a station: a verdict for each new frame at once, explanations in the time that is left.

``backlog`` has the explanations, ``ledger`` what is written down of both.

One thread. While an explanation grows, from 4 samples to 8 to 16 …, the source is polled after each step, and
new frames get their verdicts in between; so a verdict waits for half an explanation at most.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gagrad_edge.errors import (
    FrameError,
    GagradError,
    InputError,
    ModelError,
    OutputError,
)
from gagrad_runtime.frame.decoder import SlowError
from gagrad_runtime.frame.decoding import no_memory
from gagrad_runtime.station import attempts, retention
from gagrad_runtime.station.backlog import ENDED, Backlog, is_greedy, question_of
from gagrad_runtime.station.events import (
    FailedEvent,
    QuarantinedEvent,
    now,
)
from gagrad_runtime.station.explaining import Explaining
from gagrad_runtime.station.judging import verdict_event
from gagrad_runtime.station.keeping import keep_frame, quarantine
from gagrad_runtime.station.ledger import Ledger
from gagrad_runtime.station.parts import Parts
from gagrad_runtime.station.reuse import answer_of
from gagrad_runtime.station.store import stem_of
from gagrad_runtime.station.unread import Unread
from gagrad_runtime.station.waiting import Pending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.explanation.cautions import Caution
    from gagrad_runtime.frame.decoder import ChildDecoder
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.session.explainer import Explainer
    from gagrad_runtime.station.config import RetentionTable
    from gagrad_runtime.station.events import Event, HealthEvent, SourceEvent
    from gagrad_runtime.station.rule import Rule
    from gagrad_runtime.station.sources.source import Arrival, Source
    from gagrad_runtime.station.store import Store

PATIENCE = 1.5
"""Longest time for the pixels of a frame while others are there, seconds; a slow one comes last."""
SLICE = 1.0
"""Longest wait in which a signal is not seen, seconds."""
RESTING = 10.0
"""Seconds without a frame after which the memory of explanations is given back."""
_log = logging.getLogger(__name__)


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
    _ledger: Ledger = field(init=False)
    _backlog: Backlog = field(init=False)
    _last: deque[Arrival] = field(default_factory=deque, init=False)
    """Frames that come behind all others: the station ended during their first attempt, or they are slow."""
    _unread: Unread = field(default_factory=Unread, init=False)
    _source_error: str = field(default="", init=False)
    """Error of the last poll of the source; empty when it succeeded."""
    _quarantine_grew: bool = field(default=True, init=False)
    """Whether a file was put aside since retention looked at them; also after a start."""

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.store, self.parts, self._tell)
        self._backlog = Backlog(self, self._ledger, self._between)

    @property
    def degraded(self) -> bool:
        """Whether results cannot be stored at the moment."""
        return self._ledger.degraded

    @property
    def waiting(self) -> int:
        """Frames that wait for their explanation."""
        return len(self._backlog)

    def stop(self) -> None:
        """End ``run`` after the step under way."""
        self.stopping = True

    def report(self, event: HealthEvent) -> None:
        """Publish ``event``, unless it cannot be stored: the next one says more."""
        self._ledger.report(event)

    def run(self, *, once: bool = False) -> None:
        """Work until ``stopping`` or the source has ended, or, with ``once``, until nothing new comes.

        Raises DeviceError.
        """
        try:
            self._run(once=once)
        finally:
            self._ledger.close()

    def _tell(self, event: Event) -> None:
        self.on_event(event)  # which may be set after the station is made

    def _run(self, *, once: bool) -> None:
        self._ledger.heal()
        self._backlog.resume()
        idle = 0
        while not self.stopping:
            self.on_progress()
            self._ledger.heal()
            busy = self._verdicts() or self._backlog.explain_next()
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

    def _retain(self) -> None:
        """Keep the results within the limits, also on a line where nothing is explained."""
        limits = self.retention
        if limits is None:
            return
        if self._quarantine_grew:
            retention.apply_to_quarantine(self.store, limits)
            self._quarantine_grew = False
        self._ledger.attempt(lambda: retention.apply(self.store, limits))

    def _between(self) -> bool:
        """Give verdicts between two steps of an explanation; return whether to go on with it."""
        self.on_progress()
        self._verdicts()
        return not self.stopping

    def _verdicts(self) -> bool:
        """Give each new frame its verdict; return whether there were any."""
        if self.source.lossless and self._backlog.full:
            return False
        arrivals = self._poll()
        for event in self.source.events():
            self.camera = event
            self._ledger.publish(event)
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
        if self._ledger.has(arrival.name, sha256):
            self._unread.forget(arrival)
            return
        earlier = self._ledger.earlier(arrival.name, sha256)
        if earlier >= attempts.MOST:
            self._quarantine(arrival, FrameError(ENDED, where=arrival.name), sha256)
        elif earlier and not again:
            self._last.append(arrival)
        else:
            with self._ledger.working_on(arrival.name, sha256):
                self._judge(arrival, sha256)

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
            failure = FailedEvent(time=now(), file=arrival.name, reason=error.what)
            self._ledger.refused(failure, sha256, "failed")
            return
        except Exception as error:
            if not is_greedy(error):
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

        def late(number: int | None) -> None:
            if wanted and number is not None:
                self._backlog.put(Pending(number, name, sha256, None))

        number = self._ledger.verdict(event, sha256, "waiting" if wanted else "verdict", late)
        if wanted and number is not None:
            if arrival.path is None:  # a stream's frame exists nowhere else, and has to survive a power cut
                with contextlib.suppress(OutputError):
                    keep_frame(self.store.folder, stem_of(number, arrival.name), frame)
            answer = None if self.explaining.reuse is None else answer_of(seen, self.rule)
            question = question_of(judgement)
            self._backlog.put(Pending(number, arrival.name, sha256, frame, answer, question))

    def _quarantine(self, arrival: Arrival, error: GagradError, sha256: str) -> None:
        """Copy a file that is no usable image to ``quarantine/``, with the reason beside it."""
        self._unread.forget(arrival)
        if arrival.path is not None:
            quarantine(self.store.folder, arrival.path, str(error))
            self._quarantine_grew = True
        if not self._ledger.has(arrival.name, sha256):
            event = QuarantinedEvent(time=now(), file=arrival.name, reason=error.what)
            self._ledger.refused(event, sha256, "quarantined")
