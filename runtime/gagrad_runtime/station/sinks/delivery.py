"""Delivers the outbox: one thread, one task for each sink, one message at a time so that order holds.

A sink that fails is tried again, less and less often, for ever; it delays neither verdicts nor other sinks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from gagrad_runtime.station.outbox import Outbox, Standing
from gagrad_runtime.station.sinks.sink import RefusedError, UndeliveredError, message_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.station.outbox import Letter
    from gagrad_runtime.station.sinks.sink import Connection, Sink
    from gagrad_runtime.station.store import Store

BATCH = 50
"""Messages between two writes of a cursor: so many may come twice after a power cut."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries at most."""
_log = logging.getLogger(__name__)


class Delivery:
    """Sends what is in the outbox of ``store`` to ``sinks`` until it is closed."""

    def __init__(self, store: Store, sinks: Sequence[Sink], station: str) -> None:
        self._folder = store.folder
        self._outbox = Outbox(store.index)
        self._sinks = tuple(sinks)
        self._station = station
        self._loop = asyncio.new_event_loop()
        self._wake: dict[str, asyncio.Event] = {}
        self._closing = asyncio.Event()
        self.standing: dict[str, Standing] = {}
        """How far each sink is, as of its last step."""
        self.connected: dict[str, bool] = {sink.name: False for sink in sinks}
        self._failures = dict.fromkeys(self.connected, 0)
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that something new is in the outbox; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it is ending
            self._loop.call_soon_threadsafe(self._woken)

    def close(self, seconds: float = 3.0) -> None:
        """Stop, giving what is on its way so many seconds; the rest is sent after the next start."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._closing.set)
        self.wake()
        self._thread.join(timeout=seconds)

    def _woken(self) -> None:
        for event in self._wake.values():
            event.set()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._all())
        except Exception:  # noqa: BLE001 - verdicts go on; that nothing is sent any more must be seen
            _log.exception("nothing is sent any more until the station is started again")
        finally:
            self._loop.close()

    async def _all(self) -> None:
        names = [sink.name for sink in self._sinks]
        self._wake = {name: asyncio.Event() for name in names}
        await asyncio.gather(*(self._deliver(sink, self._outbox) for sink in self._sinks))

    async def _deliver(self, sink: Sink, outbox: Outbox) -> None:
        """Keep a way to the receiver open and send over it, with growing pauses between failures."""
        while not self._closing.is_set():
            try:
                async with sink.connected() as connection:
                    await self._send_all(sink, connection, outbox)
            except (UndeliveredError, sqlite3.Error) as error:  # noqa: PERF203 - to try again is its purpose
                self.connected[sink.name] = False
                self._failures[sink.name] += 1
                failures = self._failures[sink.name]
                level = logging.WARNING if failures == 1 else logging.DEBUG
                _log.log(level, "%s: %s; it is tried again", sink.name, error)
                with contextlib.suppress(sqlite3.Error):
                    self.standing[sink.name] = outbox.standing(sink.name)
                longest = min(LONGEST_PAUSE, 0.25 * 2 ** min(failures, 10))
                await self._pause(longest * random.uniform(0.5, 1))  # noqa: S311 - not all stations at once

    def _well(self, sink: Sink) -> None:
        """Note that a message was acknowledged."""
        if self._failures[sink.name]:
            _log.info("%s: messages are taken again", sink.name)
        self._failures[sink.name], self.connected[sink.name] = 0, True

    async def _send_all(self, sink: Sink, connection: Connection, outbox: Outbox) -> None:
        """Send what waits, and what comes, until closed. Raises UndeliveredError and sqlite3.Error."""
        while not self._closing.is_set():
            letters = outbox.waiting(sink.name, BATCH)
            if letters:
                await self._send(sink, connection, outbox, letters)
            self.standing[sink.name] = outbox.standing(sink.name)
            if len(letters) < BATCH:
                event = self._wake[sink.name]
                # Once a second also without being woken: the wake may have come before the row was seen.
                with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                    await asyncio.wait_for(event.wait(), 1.0)
                event.clear()

    async def _send(self, sink: Sink, connection: Connection, outbox: Outbox, letters: list[Letter]) -> None:
        done, refused = 0, 0
        try:
            for letter in letters:
                if self._closing.is_set():
                    break
                if sink.table.events is None or letter.event.get("event") in sink.table.events:
                    message = message_of(letter, self._station, self._folder, picture=sink.table.picture)
                    try:
                        await connection.send(letter, message)
                        self._well(sink)
                    except RefusedError as error:
                        refused += 1
                        _log.error("%s: event %d is left out: %s", sink.name, letter.sequence, error)
                done = letter.sequence
        finally:
            if done:  # also when a later one failed: what was acknowledged is not sent again
                outbox.done(sink.name, done, refused=refused)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not when it is to end."""
        until = time.monotonic() + seconds
        while not self._closing.is_set() and time.monotonic() < until:
            await asyncio.sleep(min(0.2, seconds))
