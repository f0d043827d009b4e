"""The loop of a station: a verdict for each frame at once, explanations in the time that is left.

One thread. While an explanation grows, from 4 samples to 8 to 16 …, the source is looked at after each step,
and new frames get their verdicts in between; so a verdict waits for half an explanation at most.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import GagradError, InputError, ModelError, OutputError
from gagrad_runtime.frame import load_frame
from gagrad_runtime.station import retention
from gagrad_runtime.station.keeping import keep_frame, quarantine
from gagrad_runtime.station.store import stem_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.session.explainer import Explainer
    from gagrad_runtime.station.config import RetentionTable
    from gagrad_runtime.station.rule import Rule
    from gagrad_runtime.station.sources.source import Arrival, Source
    from gagrad_runtime.station.store import State, Store

_log = logging.getLogger(__name__)


@dataclass
class Watch:
    """One station at work."""

    explainer: Explainer
    source: Source
    store: Store
    rule: Rule
    settings: dict[str, Any] = field(default_factory=dict)
    queue: int = 20
    """Frames that may wait for their explanation; beyond it the oldest is dropped."""
    retention: RetentionTable | None = None
    interval: float = 0.5
    """Seconds between looks at an idle source."""
    told: Callable[[dict[str, Any]], None] = lambda _: None
    """Gets one event for each verdict and each end of an explanation, behind its row."""
    alive: Callable[[], None] = lambda: None
    """Called whenever work has gone on."""
    stopping: bool = False
    degraded: bool = False
    """Whether results could not be stored the last time."""
    _waiting: deque[tuple[int, Frame]] = field(default_factory=deque, init=False)
    _unsettled: deque[tuple[int, State, dict[str, Any]]] = field(
        default_factory=lambda: deque(maxlen=10_000), init=False
    )
    """What became of frames and could not be stored yet; their rows still say that they wait."""
    _trouble: str = field(default="", init=False)
    """What the source said the last time that it gave nothing."""

    @property
    def waiting(self) -> int:
        """Frames that wait for their explanation."""
        return len(self._waiting)

    def run(self, *, once: bool = False) -> None:
        """Work until ``stopping`` or the source has ended, or, with ``once``, until nothing new comes.

        Raises DeviceError.
        """
        self._resume()
        idle = 0
        while not self.stopping:
            self.alive()
            busy = self._verdicts() or self._explain()
            if busy:
                idle = 0
                continue
            idle += 1
            if self.source.ended or (once and idle > 2):
                return
            self.source.wait(self.interval)

    def _resume(self) -> None:
        """Take up again what waited when the last run ended, as far as the frames are still there."""
        for row in self.store.rows("waiting"):
            frame = self.source.again(row.name, row.sha256)
            kept = self.store.frame_of(stem_of(row.id, row.name))
            if frame is None and kept is not None:
                with contextlib.suppress(InputError):
                    frame = load_frame(kept)
            if frame is not None:
                self._enqueue(row.id, frame)
            else:
                self._settle(row.id, "dropped", reason="its image was gone before it was explained")

    def _verdicts(self) -> bool:
        """Give each new frame its verdict; whether there were any."""
        if self.source.patient and len(self._waiting) >= self.queue:
            return False
        arrivals = self._look()
        for news in self.source.news():
            event = {"event": "source", "time": _now(), **news}
            self._stored(lambda event=event: self.store.tell(event))  # type: ignore[misc]
            self.told(event)
        for arrival in arrivals:
            if self.stopping:
                break
            self._frame(arrival)
            self.alive()
        return bool(arrivals)

    def _look(self) -> list[Arrival]:
        """Return what is new; a source that is away comes back, and is told of once and not at each look."""
        try:
            arrivals = self.source.look()
        except InputError as error:
            if error.what != self._trouble:
                _log.warning("%s", error)
            self._trouble = error.what
            return []
        if self._trouble and not self.source.patient:
            _log.warning("the source gives frames again")
        self._trouble = ""
        return arrivals

    def _frame(self, arrival: Arrival) -> None:
        try:
            sha256 = arrival.sha256()
            if self.store.has(arrival.name, sha256):
                return
            frame = arrival.frame()
        except InputError as error:
            self._quarantine(arrival, error)
            return
        began = time.monotonic()
        try:
            seen = self.explainer.predict(frame)
        except ModelError as error:  # scores that are no numbers: this frame's affair, not the station's
            self._refused(arrival, sha256, "failed", error)
            return
        verdict, probability = str(seen.target), seen.probability
        wanted = self.rule.wants(verdict, probability, time.monotonic())
        event = {
            "event": "verdict",
            "time": _now(),
            "file": arrival.name,
            "verdict": verdict,
            "probability": probability,
            "explain": wanted,
            "seconds": round(time.monotonic() - began, 6),
        }
        number = self._stored(
            lambda: self.store.add(
                arrival.name,
                sha256,
                str(event["time"]),
                state="waiting" if wanted else "verdict",
                verdict=verdict,
                probability=probability,
                event=event,
            )
        )
        self.told({**event, "id": number})
        if wanted and number is not None:
            if arrival.path is None:  # it exists nowhere else, and may have to survive a power cut
                with contextlib.suppress(OutputError):
                    keep_frame(self.store.folder, stem_of(number, arrival.name), frame)
            self._enqueue(number, frame)

    def _enqueue(self, number: int, frame: Frame) -> None:
        self._waiting.append((number, frame))
        if len(self._waiting) > self.queue:
            oldest, _ = self._waiting.popleft()
            self._settle(oldest, "dropped", reason=f"more than {self.queue} frames were waiting")

    def _explain(self) -> bool:
        """Explain the next frame that waits, verdicts going before each step; whether there was one."""
        if not self._waiting:
            return False
        number, frame = self._waiting.popleft()
        explanation: Explanation | None = None
        began = time.monotonic()
        try:
            for better in self.explainer.refine(frame, **self.settings):
                explanation = better
                self.alive()
                self._verdicts()
                if self.stopping:
                    break
        except (InputError, ModelError) as error:
            self._settle(number, "failed", reason=error.what)
            return True
        if explanation is not None:
            self._keep(number, frame, explanation, time.monotonic() - began)
        return True

    def _keep(self, number: int, frame: Frame, explanation: Explanation, seconds: float) -> None:
        stem = stem_of(number, frame.name)
        event = {
            "event": "explained",
            "time": _now(),
            "file": frame.name,
            "record": f"{stem}.json",
            "picture": f"{stem}.explained.png",
            "rcap": explanation.rcap.score,
            "samples": explanation.samples,
            "seconds": round(seconds, 6),
        }

        def save() -> None:
            explanation.save(self.store.folder, stem=stem, raw=(), replace=True)
            size = self.store.files_size(stem)
            self.store.settle(number, "explained", stem=stem, size=size, event=event)

        try:
            try:
                save()
            except OutputError:
                # Room is made once, by a tenth; a disk that somebody else fills is not ours to empty.
                retention.make_room(self.store)
                save()
        except OutputError as error:
            self._degrade(error)
            self._settle(number, "dropped", reason="it could not be stored")
            return
        if self.degraded:
            self._stored(self._catch_up)
            _log.warning("results are stored again")
        self.degraded = False
        if (limits := self.retention) is not None:
            self._stored(lambda: retention.apply(self.store, limits))
        self.told({**event, "id": number})

    def _settle(self, number: int, state: State, *, reason: str) -> None:
        event: dict[str, Any] = {"event": state, "time": _now(), "reason": reason}
        try:
            self.store.settle(number, state, reason=reason, event=event)
        except OutputError as error:
            self._degrade(error)
            self._unsettled.append((number, state, event))
            event["stored"] = False
        self.told({**event, "id": number})

    def _catch_up(self) -> None:
        """Write what could not be written while the disk was full. Raises OutputError."""
        while self._unsettled:
            number, state, event = self._unsettled[0]
            event.pop("stored", None)
            self.store.settle(number, state, reason=str(event["reason"]), event=event)
            self._unsettled.popleft()

    def _quarantine(self, arrival: Arrival, error: GagradError) -> None:
        """Keep a copy of what is no image, with the reason beside it, and go on."""
        if arrival.path is not None:
            quarantine(self.store.folder, arrival.path, str(error))
        try:
            sha256 = arrival.sha256()
        except InputError:
            sha256 = "unreadable"
        if not self.store.has(arrival.name, sha256):
            self._refused(arrival, sha256, "quarantined", error)

    def _refused(self, arrival: Arrival, sha256: str, state: State, error: GagradError) -> None:
        event = {"event": state, "time": _now(), "file": arrival.name, "reason": error.what}
        number = self._stored(
            lambda: self.store.add(
                arrival.name, sha256, str(event["time"]), state=state, reason=error.what, event=event
            )
        )
        self.told({**event, "id": number})

    def _stored(self, write: Callable[[], Any]) -> Any:
        """Write, or go on without: a full disk must not stop the verdicts."""
        try:
            return write()
        except OutputError as error:
            self._degrade(error)
            return None

    def _degrade(self, error: OutputError) -> None:
        if not self.degraded:
            _log.warning("results are not stored until this is mended: %s", error)
        self.degraded = True


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
