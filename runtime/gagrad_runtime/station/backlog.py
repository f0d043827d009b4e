"""The explanations of a station: the frames that wait for one, and the work on them."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec.structs import replace

from gagrad_edge.errors import InputError, ModelError, OutOfMemoryError, OutputError, TargetError
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.decoding import is_memory, no_memory
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.report.report import Report
from gagrad_runtime.station import attempts, retention
from gagrad_runtime.station.events import DroppedEvent, FailedEvent, now
from gagrad_runtime.station.findings import explained_event
from gagrad_runtime.station.judging import outcome
from gagrad_runtime.station.keeping import keep_layers
from gagrad_runtime.station.reuse import Explained
from gagrad_runtime.station.store import stem_of
from gagrad_runtime.station.waiting import Pending, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.session.explainer import Explainer
    from gagrad_runtime.station.condition import Judgement
    from gagrad_runtime.station.events import ExplainedEvent
    from gagrad_runtime.station.explaining import Explaining
    from gagrad_runtime.station.ledger import Ledger
    from gagrad_runtime.station.parts import Parts
    from gagrad_runtime.station.rule import Rule
    from gagrad_runtime.station.sources.source import Source
    from gagrad_runtime.station.store import Store

ENDED = f"the station ended {attempts.MOST} times while it worked on this frame"
"""Why a frame is given up."""


def is_greedy(error: Exception) -> bool:
    """Return whether ``error`` says that a frame took more memory than there is."""
    return isinstance(error, OutOfMemoryError) or is_memory(error)


def question_of(judgement: Judgement | None) -> dict[str, str]:
    """Return what to explain of a part by what makes it NG, as keywords of ``explain``."""
    return {} if judgement is None or judgement.condition is None else judgement.condition.question


class Station(Protocol):
    """What a backlog reads of its station, see ``Watch``."""

    explainer: Explainer
    source: Source
    store: Store
    rule: Rule
    explaining: Explaining
    parts: Parts
    queue: int
    pictured: bool


class Backlog:
    """The frames of ``station`` that wait, and their explanations.

    ``between`` is called after each step of an explanation: it gives verdicts, and returns whether to go on.
    """

    def __init__(self, station: Station, ledger: Ledger, between: Callable[[], bool]) -> None:
        self._station, self._ledger, self._between = station, ledger, between
        self._waiting = Waiting(station.queue)
        self._explained: Explained | None = None
        """The last frame that was explained, at a station that uses explanations again."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether one more would be too many."""
        return self._waiting.full

    def resume(self) -> None:
        """Queue the frames that waited when the last run ended. They are read when it is their turn."""
        for row in self._station.store.rows("waiting"):
            self.put(Pending(row.id, row.name, row.sha256, None))

    def put(self, pending: Pending) -> None:
        """Queue a frame. Beyond ``most`` the oldest is dropped."""
        if (oldest := self._waiting.put(pending)) is not None:
            reason = f"more than {self._waiting.most} frames were waiting"
            self._ledger.ended(DroppedEvent(time=now(), id=oldest.number, file=oldest.name, reason=reason))

    def explain_next(self) -> bool:
        """Explain the next frame, with verdicts in between; return whether there was one."""
        if not self._waiting:
            return False
        pending = self._waiting.take()
        number, name = pending.number, pending.name
        if self._ledger.earlier(name, pending.sha256) >= attempts.MOST:
            self._ledger.ended(FailedEvent(time=now(), id=number, file=name, reason=ENDED))
            return True
        with self._ledger.working_on(name, pending.sha256):
            if (frame := self._pixels(pending)) is None:
                reason = "its image was deleted before it was explained"
                self._ledger.ended(DroppedEvent(time=now(), id=number, file=name, reason=reason))
            else:
                self._explain(pending, frame)
        return True

    def _pixels(self, pending: Pending) -> Frame | None:
        """Return the frame, read again if it was not kept in memory; None when it exists no more."""
        if pending.frame is not None:
            return pending.frame
        frame = self._station.source.reload(pending.name, pending.sha256)
        kept = self._station.store.frame_of(stem_of(pending.number, pending.name))
        if frame is None and kept is not None:
            with contextlib.suppress(InputError):
                frame = load_frame(kept)
        return frame

    def _image(self, pending: Pending, frame: Frame) -> NDArray[np.float32] | None:
        """Return the model's image of a frame; None where no explanation is used again."""
        if self._station.explaining.reuse is None or pending.answer is None:
            return None
        return prepare(frame, self._station.explainer.manifest.input)[0]

    def _used_again(self, pending: Pending, frame: Frame, image: NDArray[np.float32] | None) -> bool:
        """Use the last explanation for a frame that shows the same; return whether it does."""
        last, most, began = self._explained, self._station.explaining.reuse, time.monotonic()
        if last is None or most is None or not last.shows(image, frame, pending.answer, most):
            return False
        if not all(
            (self._station.store.folder / one).exists() for one in (last.event.record, last.event.picture)
        ):
            return False  # removed to make room
        seconds = time.monotonic() - began
        event = last.event_of(pending.number, pending.name, pending.answer or last.answer, seconds)
        event = replace(event, part=self._station.parts.of(pending.name))
        try:
            self._station.store.finish(pending.number, "explained", event=event)
        except OutputError:
            return False
        self._ledger.on_event(event)
        return True

    def _explain(self, pending: Pending, frame: Frame) -> None:
        """Explain a frame, and keep the explanation."""
        number, name = pending.number, pending.name
        explanation: Explanation | None = None
        going, began = True, time.monotonic()
        try:
            if self._station.explaining.roi is not None:
                self._station.explaining.roi.on((frame.height, frame.width))  # before the work, not after it
            image = self._image(pending, frame)
            if self._used_again(pending, frame, image):
                return
            for better in self._refined(pending, frame):
                explanation = better
                if not (going := self._between()):
                    break
        except (InputError, ModelError) as error:
            self._ledger.ended(FailedEvent(time=now(), id=number, file=name, reason=error.what))
            return
        except Exception as error:
            if not is_greedy(error):
                raise
            reason = no_memory(name).what
            self._ledger.ended(FailedEvent(time=now(), id=number, file=name, reason=reason))
            return
        if explanation is not None:
            event = self._keep(number, name, explanation, time.monotonic() - began)
            if going:
                self._explained = Explained.of(frame, image, pending.answer, event)

    def _refined(self, pending: Pending, frame: Frame) -> Iterator[Explanation]:
        """Yield better and better explanations of a frame; only the last one has a covering test."""
        asked = {**self._question(pending, frame), **self._station.explaining.settings, "measure_each": False}
        try:
            yield from self._station.explainer.refine(frame, **asked)
        except TargetError as error:
            # Known at the start to be a class of the model: so the part is of this class itself.
            if error.where != "against" or asked.pop("against", None) is None:
                raise
            yield from self._station.explainer.refine(frame, **asked)

    def _question(self, pending: Pending, frame: Frame) -> dict[str, str]:
        """Return what to explain of a frame: what makes it NG, or, by default, what the model says."""
        if not self._station.rule.ng or "target" in self._station.explaining.settings:
            return {}
        if pending.question is not None:
            return pending.question
        return question_of(self._station.rule.judge(self._station.explainer.predict(frame)))

    def _keep(
        self, number: int, name: str, explanation: Explanation, seconds: float
    ) -> ExplainedEvent | None:
        """Store and publish an explanation, and return its event; None where it could not be stored."""
        stem = stem_of(number, name)
        report = Report(
            explanation,
            self._station.explaining.roi,
            self._station.explaining.roi_limit,
            part=self._station.parts.of(name),
        )
        event = explained_event(
            report, number=number, file=name, stem=stem, seconds=seconds, rule_says=self._outcome(explanation)
        )

        def save() -> None:
            self._ledger.heal()
            if self._station.pictured:
                keep_layers(self._station.store.folder, stem, report)
            report.save(self._station.store.folder, stem=stem, raw=(), replace=True)
            size = self._station.store.files_size(stem)
            self._station.store.finish(number, "explained", stem=stem, size=size, event=event)

        try:
            try:
                save()
            except OutputError:
                # Room is made once, by a tenth: another program may be filling the disk, and then no removal
                # helps.
                retention.make_room(self._station.store)
                save()
        except OutputError as error:
            self._ledger.kept(error)
            reason = "it could not be stored"
            self._ledger.ended(DroppedEvent(time=now(), id=number, file=name, reason=reason))
            return None
        self._ledger.kept(None)
        self._ledger.on_event(event)
        return event

    def _outcome(self, explanation: Explanation) -> Literal["OK", "NG"] | None:
        return None if explanation.prediction is None else outcome(self._station.rule, explanation.prediction)
