"""What a station writes down of its frames: rows and events, in order, also where the disk refuses some."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gagrad_runtime.station.events import DroppedEvent
from gagrad_runtime.station.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gagrad_edge.errors import OutputError
    from gagrad_runtime.station.events import (
        EndEvent,
        Event,
        FailedEvent,
        HealthEvent,
        QuarantinedEvent,
        SourceEvent,
        VerdictEvent,
    )
    from gagrad_runtime.station.parts import Parts
    from gagrad_runtime.station.store import State, Store


class Ledger:
    """The rows and events of one station. ``on_event`` is called with each event, after its row is stored."""

    def __init__(self, store: Store, parts: Parts, on_event: Callable[[Event], None]) -> None:
        self.store, self.parts, self.on_event = store, parts, on_event
        self._writes = Writes()

    @property
    def degraded(self) -> bool:
        """Whether something cannot be stored at the moment."""
        return self._writes.degraded

    def close(self) -> None:
        """Write what is late, if that can be done."""
        self._writes.close()

    def heal(self) -> None:
        """Mend what happened to the index and the folder of results, publish it, and write what is late."""
        for event in self._writes.attempt(self.store.heal) or ():
            self.on_event(event)
        self._writes.retry()

    def attempt(self, write: Callable[[], Any]) -> None:
        """Call ``write`` once; where it cannot be done now it is left."""
        self._writes.attempt(write)

    def has(self, name: str, sha256: str) -> bool:
        """Return whether the frame has a row, also one from before it was moved into a folder below.

        When that cannot be read it is new: better twice than never.
        """
        names = {name, name.rpartition("/")[2]}
        return bool(self._writes.attempt(lambda: any(self.store.has(one, sha256) for one in names)))

    def earlier(self, name: str, sha256: str) -> int:
        """Return how many times the station ended while it worked on the frame."""
        return int(self._writes.attempt(lambda: self.store.earlier(name, sha256)) or 0)

    @contextlib.contextmanager
    def working_on(self, name: str, sha256: str) -> Iterator[None]:
        """Mark in the index that the frame is worked on, for the case that the block never ends."""
        self._writes.attempt(lambda: self.store.begin(name, sha256))
        try:
            yield
        except KeyboardInterrupt:  # a signal ended it, and not the frame
            self._writes.attempt(lambda: self.store.leave(name, sha256))
            raise
        self._writes.attempt(lambda: self.store.leave(name, sha256))

    def report(self, event: HealthEvent) -> None:
        """Publish ``event``; one that cannot be stored is not kept for later, as the next one says more."""
        self._writes.attempt(lambda: self.store.publish(event))
        self.on_event(event)

    def publish(self, event: SourceEvent) -> None:
        """Publish an event that has no row."""
        self._writes.in_order(partial(self.store.publish, event))
        self.on_event(event)

    def verdict(
        self, event: VerdictEvent, sha256: str, state: State, late: Callable[[int | None], None]
    ) -> int | None:
        """Store and publish a verdict, and return the number of its row.

        None where it cannot be stored now; ``late`` is called with the number once it is.
        """
        add = partial(
            self.store.add,
            str(event.file),
            sha256,
            event.time,
            state=state,
            verdict=event.verdict,
            probability=event.probability,
            event=event,
        )
        _, number = self._writes.in_order(add, late)
        self.on_event(replace(event, id=number))
        return number

    def refused(self, event: FailedEvent | QuarantinedEvent, sha256: str, state: State) -> None:
        """Store and publish that a frame got no verdict."""
        event = replace(event, part=self.parts.of(str(event.file)))
        _, number = self._writes.in_order(
            lambda: self.store.add(
                str(event.file), sha256, event.time, state=state, reason=event.reason, event=event
            )
        )
        self.on_event(replace(event, id=number))

    def kept(self, error: OutputError | None) -> None:
        """Take note that the files of an explanation are written, or why they are not."""
        self._writes.kept(error)

    def ended(self, event: EndEvent) -> None:
        """Store and publish that a frame's wait ended without an explanation."""
        event = replace(event, part=self.parts.of(str(event.file)))
        done, _ = self._writes.in_order(partial(self._end, event))
        self.on_event(event if done else replace(event, stored=False))

    def _end(self, event: EndEvent) -> None:
        """Write the end of a wait to the row that ``event`` is about. Raises OutputError."""
        assert event.id is not None  # noqa: S101 - a frame without a row is never queued
        state: State = "dropped" if isinstance(event, DroppedEvent) else "failed"
        self.store.finish(event.id, state, reason=event.reason, event=event)
