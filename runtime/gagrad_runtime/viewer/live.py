"""Live: pages that are open learn at once that something new was stored.

A listener is only told that there is something new, and asks the database itself. So one that is slow, or
gone without a word, costs nothing but its place: ten events that it did not look at are one.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from litestar.response import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable

    from gagrad_runtime.viewer.storing import Stored

LISTENERS = 200
"""Most open pages at a time."""
PAUSE = 0.1
"""Least time between two messages to one page, seconds: nobody reads faster."""
BEAT = 15.0
"""Longest time without any: then a comment is sent, at which a page that is gone is noticed."""
_COMMENT = ": still here\n\n"


class Changes:
    """Tells open pages of what was stored. For one event loop."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Event, str | None] = {}
        self._counts: dict[str | None, int] = {}
        self._texts: dict[Hashable, tuple[int, str]] = {}
        self._making = asyncio.Lock()
        self.ended = False

    @property
    def full(self) -> bool:
        """Whether no further page can listen."""
        return len(self._listeners) >= LISTENERS

    def publish(self, stored: Stored) -> None:
        """Tell whoever listens to the station of ``stored``, or to all."""
        for name in (None, stored.station):
            self._counts[name] = self._counts.get(name, 0) + 1
        for event, station in self._listeners.items():
            if station is None or station == stored.station:
                event.set()

    def end(self) -> None:
        """End all streams."""
        self.ended = True
        for event in self._listeners:
            event.set()

    async def __call__(self, station: str | None = None) -> AsyncGenerator[bool, None]:
        """Yield True whenever there is something new, at most every PAUSE; False every BEAT without."""
        event = asyncio.Event()
        self._listeners[event] = station
        try:
            while not self.ended:
                changed = True
                try:
                    await asyncio.wait_for(event.wait(), BEAT)
                except (asyncio.TimeoutError, TimeoutError):
                    changed = False
                event.clear()
                if self.ended:
                    return
                yield changed
                await asyncio.sleep(PAUSE)
        finally:
            self._listeners.pop(event, None)

    async def text(self, key: Hashable, station: str | None, make: Callable[[], Awaitable[str]]) -> str:
        """Return what ``make`` makes of the newest state, made once for all listeners with ``key``."""
        async with self._making:
            count = self._counts.get(station, 0)
            found = self._texts.get(key)
            if found is None or found[0] != count:
                found = (count, await make())
                if len(self._texts) >= LISTENERS:
                    self._texts.clear()
                self._texts[key] = found
            return found[1]


def stream(
    changes: Changes, station: str | None, key: Hashable, make: Callable[[], Awaitable[str]]
) -> Stream:
    """Return a response that sends what ``make`` makes, at once and after each change, until either end goes.

    ``key`` says for whom the text is the same: of language and station. The text is HTML that htmx puts in
    place of the one before. A browser that lost the connection asks again after a second.
    """

    async def messages() -> AsyncIterator[str]:
        yield "retry: 1000\n\n" + message(await changes.text(key, station, make))
        async with contextlib.aclosing(changes(station)) as told:
            async for changed in told:
                yield message(await changes.text(key, station, make)) if changed else _COMMENT

    return Stream(
        messages(),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


def message(text: str) -> str:
    """Return ``text`` as one message of a stream of events."""
    return "".join(f"data: {line}\n" for line in text.splitlines() or [""]) + "\n"
