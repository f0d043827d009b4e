"""What the pages ask the database: one method for each page, each in a thread of few.

Every answer is bounded, whatever is in the database: see ``history`` for how.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, TypeVar

from gagrad_runtime.labels.reading import read
from gagrad_runtime.viewer import fleet as fleets
from gagrad_runtime.viewer import frames, gallery, history, labels_import, suggestions
from gagrad_runtime.viewer.history import Choices, Filter
from gagrad_runtime.viewer.labels import give, take_back
from gagrad_runtime.viewer.listed import listed
from gagrad_runtime.viewer.rows import rows, station_number
from gagrad_runtime.viewer.values import (
    Disk,
    Fleet,
    Frame,
    Gap,
    Group,
    Hour,
    Label,
    Live,
    Page,
    Queue,
    Similar,
    Version,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from gagrad_runtime.labels.values import Box
    from gagrad_runtime.viewer.database import Database
    from gagrad_runtime.viewer.labels_import import Imported

__all__ = ["Choices", "Filter", "Queries"]
THREADS = 3
"""Queries at a time; each thread has a connection of its own."""
STRIP = 20
"""Frames of the strip of the live page."""
_FLEET_SECONDS = 5.0
"""Time for which the answer for all stations is good."""
T = TypeVar("T")


class Queries:
    """What the pages ask of ``database``."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="viewer-reads")
        self._fleet: tuple[float, Fleet] | None = None

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``question`` finds, in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: question(self.database.reader()))

    async def do(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Write. Raises FullError and BusyError."""
        return await asyncio.wrap_future(self.database.write(job))

    @property
    def disk(self) -> Disk:
        """The state of the viewer's disk."""
        return fleets.disk_of(self.database.folder, full=self.database.full)

    async def live(self, station: str | None = None) -> Live:
        """Return the newest of a station, or of all."""
        return await self.ask(lambda connection: self._live(connection, station))

    def _live(self, connection: sqlite3.Connection, station: str | None) -> Live:
        condition, values = "", list[int | None]()
        heard = "SELECT max(heard) FROM station"
        if station is not None:
            number = station_number(connection, station)
            condition, values, heard = "WHERE frame.station = ?", [number], f"{heard} WHERE id = ?"
        strip = rows(connection, f"{condition} ORDER BY frame.id DESC LIMIT ?", (*values, STRIP))
        and_where = f"{condition} AND" if condition else "WHERE"
        mapped = connection.execute(
            f"SELECT max(id) FROM frame {and_where} frame.state = 2 AND frame.id > ?",  # noqa: S608 - bound
            (*values, strip[-1].id - 1000 if strip else 0),
        ).fetchone()[0]
        newest = frames.frame(connection, strip[0].id) if strip else None
        explained = None if mapped is None else frames.frame(connection, mapped)
        return Live(
            newest=newest,
            explained=newest if newest is not None and newest.row.id == mapped else explained,
            strip=strip,
            stations=tuple(name for (name,) in connection.execute("SELECT name FROM station ORDER BY name")),
            cameras=fleets.cameras(connection, station),
            health=fleets.health(connection, station),
            heard=connection.execute(heard, values).fetchone()[0],
            disk=self.disk,
            gaps=fleets.gaps(connection, time.time() - 86400, station=station, limit=10),
        )

    async def history(self, wanted: Filter, *, before: int | None = None, limit: int = 50) -> Page:
        """Return one page of the history, the newest first."""
        return await self.ask(lambda one: history.history(one, wanted, before=before, limit=limit))

    async def before_of(self, when: int) -> int | None:
        """Return the ``before`` of the page that begins with the last frame up to the time ``when``."""
        return await self.ask(lambda one: history.before_of(one, when))

    async def hours(
        self, since: int, until: int, *, station: str | None = None, span: int = 3600
    ) -> tuple[Hour, ...]:
        """Return the counts of each ``span`` seconds between two times; those without frames are left out."""
        return await self.ask(lambda one: history.hours(one, since, until, station=station, span=span))

    async def choices(self) -> Choices:
        """Return what a filter can ask for."""
        return await self.ask(history.choices)

    async def gaps(self, since: float, *, station: str | None = None, limit: int = 100) -> tuple[Gap, ...]:
        """Return the holes in the sequences seen from ``since`` on, the newest first."""
        return await self.ask(lambda one: fleets.gaps(one, since, station=station, limit=limit))

    async def groups(
        self, *, station: str | None = None, before: int | None = None, limit: int = 24
    ) -> tuple[Group, ...]:
        """Return families of NG frames; the next page: ``before`` the newest id of the last one."""
        return await self.ask(lambda one: gallery.groups(one, station=station, before=before, limit=limit))

    async def group(self, number: int, *, before: int | None = None, limit: int = 50) -> Page:
        """Return the frames of one family, the newest first."""
        return await self.ask(lambda one: gallery.group(one, number, before=before, limit=limit))

    async def frame(self, number: int) -> Frame | None:
        """Return one frame with all that is known of it."""
        return await self.ask(lambda one: frames.frame(one, number))

    async def record(self, number: int) -> str | None:
        """Return a frame's record, JSON; None where there is none."""
        return await self.ask(lambda one: frames.record(one, number))

    async def similar(
        self, number: int, by: Literal["map", "picture"], limit: int = 8
    ) -> tuple[Similar, ...]:
        """Return the frames that are most like frame ``number``."""
        return await self.ask(lambda one: frames.similar(one, number, by, limit))

    async def versions(self, number: int) -> tuple[Version, ...]:
        """Return all looks of models at the same file."""
        return await self.ask(lambda one: frames.versions(one, number))

    async def queue(self, *, station: str | None = None, limit: int = 20) -> Queue:
        """Return what to label next."""
        named = await asyncio.to_thread(listed, self.database.folder)
        return await self.ask(lambda one: suggestions.queue(one, station=station, limit=limit, named=named))

    async def fleet(self) -> Fleet:
        """Return all stations; an answer of at most five seconds ago."""
        if self._fleet is None or time.monotonic() > self._fleet[0]:
            found = await self.ask(
                lambda one: fleets.fleet(one, self.database.folder, full=self.database.full)
            )
            self._fleet = (time.monotonic() + _FLEET_SECONDS, found)
        return self._fleet[1]

    async def look(self, number: int) -> None:
        """Note that somebody opened the page of a frame."""
        await self.do(
            lambda one: (
                one.execute("UPDATE frame SET looked = 1 WHERE id = ? AND looked = 0", (number,)) and None
            )
        )

    async def label(self, number: int, label: str, who: str, box: Box | None = None) -> Label:
        """Give a label. Raises LabelError, FullError and BusyError."""
        return await self.do(lambda one: give(one, number, label, who, box=box))

    async def import_labels(self, data: bytes, who: str) -> Imported:
        """Take the labels in a file of another tool. Raises ImportedError, and as ``label``."""
        form, found = await asyncio.to_thread(read, data)
        return await self.do(lambda one: labels_import.take(one, form, found, who))

    async def take_back(self, number: int, who: str) -> Label | None:
        """Take the newest label of a frame back; None where there is none. Raises as ``label``."""
        return await self.do(lambda one: take_back(one, number, who))
