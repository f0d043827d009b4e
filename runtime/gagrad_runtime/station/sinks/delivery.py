"""Delivery of the outbox: one thread, one asyncio task per sink, one message at a time, in order.

A sink that fails is retried for ever with growing pauses. It delays neither verdicts nor other sinks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_edge.printable import printable
from gagrad_runtime.station.events import now
from gagrad_runtime.station.outbox import DeliveryStatus, Outbox
from gagrad_runtime.station.sinks.sink import RefusedError, UndeliveredError, message_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.station.outbox import Message
    from gagrad_runtime.station.sinks.sink import Connection, Sink
    from gagrad_runtime.station.store import Store

BATCH = 50
"""Messages between two writes of a cursor; after a power cut at most this many are sent twice."""
LONGEST_PAUSE = 60.0
"""Longest pause between two attempts, seconds."""
_LONGEST_ERROR = 300
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """A receiver that takes nothing."""

    error: str
    """Of the last attempt, printable."""
    since: str
    """When the first of the attempts failed that have failed since, UTC."""


class Delivery:
    """Sends the messages in the outbox of ``store`` to ``sinks``, until it is closed."""

    def __init__(self, store: Store, sinks: Sequence[Sink], station: str) -> None:
        self._folder = store.folder
        self._outbox = Outbox(store.index)
        self._sinks = tuple(sinks)
        self._station = station
        self._loop = asyncio.new_event_loop()
        self._wake: dict[str, asyncio.Event] = {}
        self._closing = asyncio.Event()
        self.status: dict[str, DeliveryStatus] = {}
        """Counts of each sink, as of its last step."""
        self.connected: dict[str, bool] = {sink.name: False for sink in sinks}
        self.trouble: dict[str, Trouble] = {}
        """Of each sink that the last attempt failed for."""
        self._failures = dict.fromkeys(self.connected, 0)
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tell the sinks' tasks that the outbox has new events. May be called from any thread."""
        with contextlib.suppress(RuntimeError):  # the event loop is closed: the station is ending
            self._loop.call_soon_threadsafe(self._set_all)

    def close(self, seconds: float = 3.0) -> None:
        """Stop, at most ``seconds`` later. Messages not sent by then are sent after the next start."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._closing.set)
        self.wake()
        self._thread.join(timeout=seconds)

    def _set_all(self) -> None:
        for event in self._wake.values():
            event.set()

    @property
    def alive(self) -> bool:
        """Whether messages are being sent, or will be when a receiver can be reached again."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._all())
        except Exception:  # noqa: BLE001 - verdicts go on; health and the log tell the operator
            _log.exception("nothing is sent any more until the station is started again")
        finally:
            self._loop.close()

    async def _all(self) -> None:
        names = [sink.name for sink in self._sinks]
        self._wake = {name: asyncio.Event() for name in names}
        await asyncio.gather(*(self._deliver(sink, self._outbox) for sink in self._sinks))

    async def _deliver(self, sink: Sink, outbox: Outbox) -> None:
        """Connect to the receiver and send to it, again and again, with growing pauses between failures."""
        while not self._closing.is_set():
            try:
                async with sink.connected() as connection:
                    await self._send_all(sink, connection, outbox)
            except Exception as error:  # noqa: BLE001, PERF203 - whatever one sink raises is that sink's
                self.connected[sink.name] = False
                self._failures[sink.name] += 1
                failures = self._failures[sink.name]
                level = logging.WARNING if failures == 1 else logging.DEBUG
                expected = isinstance(error, (UndeliveredError, sqlite3.Error))
                said = str(error) if expected else f"{type(error).__name__}: {error}"
                earlier = self.trouble.get(sink.name)
                since = now() if earlier is None else earlier.since
                self.trouble[sink.name] = Trouble(printable(said)[:_LONGEST_ERROR], since)
                _log.log(level, "%s: %s; it will be retried", sink.name, said, exc_info=not expected)
                with contextlib.suppress(sqlite3.Error):
                    self.status[sink.name] = outbox.status(sink.name)
                longest = min(LONGEST_PAUSE, 0.25 * 2 ** min(failures, 10))
                await self._pause(longest * random.uniform(0.5, 1))  # noqa: S311 - jitter, so that not all stations reconnect at once

    def _connected_again(self, sink: Sink) -> None:
        """Record that the receiver acknowledged a message."""
        if self._failures[sink.name]:
            _log.info("%s: the receiver takes messages again", sink.name)
        self._failures[sink.name], self.connected[sink.name] = 0, True
        self.trouble.pop(sink.name, None)

    async def _send_all(self, sink: Sink, connection: Connection, outbox: Outbox) -> None:
        """Send pending messages, and new ones, until closed. Raises UndeliveredError and sqlite3.Error."""
        while not self._closing.is_set():
            messages = outbox.pending(sink.name, BATCH)
            if messages:
                await self._send(sink, connection, outbox, messages)
            self.status[sink.name] = outbox.status(sink.name)
            if len(messages) < BATCH:
                event = self._wake[sink.name]
                # Also once a second without a wake-up: it may have come before the row was visible.
                with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                    await asyncio.wait_for(event.wait(), 1.0)
                event.clear()

    async def _send(
        self, sink: Sink, connection: Connection, outbox: Outbox, messages: list[Message]
    ) -> None:
        done, refused = 0, 0
        try:
            for message in messages:
                if self._closing.is_set():
                    break
                refused += not await self._send_one(sink, connection, message)
                done = message.sequence
        finally:
            if done:  # also when a later message failed: an acknowledged one is not sent again
                outbox.acknowledge(sink.name, done, refused=refused, epoch=messages[0].epoch)

    async def _send_one(self, sink: Sink, connection: Connection, message: Message) -> bool:
        """Send ``message`` if ``sink`` asks for its kind; return whether it is not refused."""
        event, sequence = message.event, message.sequence
        if event is None:
            return False
        if sink.table.events is not None and event.kind not in sink.table.events:
            return True
        body = message_of(event, self._station, self._folder, picture=sink.table.picture)
        try:
            await connection.send(event, body)
        except RefusedError as error:
            _log.error("%s: event %d is left out: %s", sink.name, sequence, error)
            return False
        self._connected_again(sink)
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait ``seconds``, or until the delivery is closed."""
        until = time.monotonic() + seconds
        while not self._closing.is_set() and time.monotonic() < until:
            await asyncio.sleep(min(0.2, seconds))
