"""Retention: how long the viewer keeps frames and pictures. The oldest go first, in the order they came.

It removes a little at a time, between the writes of events, so that a station never waits for it longer than
for another station. Frames that people labelled stay, with their pictures, and so do the counters by hour:
the curves of last year are there when its frames are gone.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_runtime.viewer import pictures, totals
from gagrad_runtime.viewer.database import BusyError, FullError
from gagrad_runtime.viewer.storing import sought_text

if TYPE_CHECKING:
    import sqlite3

    from gagrad_runtime.viewer.database import Database

PACE = 200
"""Frames that are looked at in one transaction."""
EVERY = 30.0
"""Seconds between two looks when nothing is beyond a limit."""
REPEATS = 1_000_000
"""Newest events of an epoch that are known as received: a station repeats those of its outbox at most."""
REPEATED_DAYS = 60.0
"""Days after the last event of an epoch for which its events are known as received."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What is kept at most; None sets no limit."""

    keep_rows: int | None = None
    """Frames."""
    keep_days: float | None = None
    """Days since a frame came in."""
    max_mb: float | None = None
    """Megabytes of pictures."""
    disk_share: float | None = 0.95
    """Pictures go while more than this share of the disk is used, by whatever program, 0..1."""


class Retention:
    """Keeps ``database`` within ``limits`` by a thread of its own, within a ``with`` block."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="viewer-retention", daemon=True)

    def __enter__(self) -> Retention:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ended.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            pause = 0.05 if self._stepped() else EVERY

    def _stepped(self) -> int:
        try:
            return self.step()
        except (BusyError, FullError, FutureTimeoutError) as error:
            _log.debug("retention waits: %s", error)
            return 0

    def step(self) -> int:
        """Remove some of what is beyond a limit; return how much, 0 when all is within.

        Raises BusyError and FullError.
        """
        return self._database.write(self._step).result(timeout=60)

    def _step(self, connection: sqlite3.Connection) -> int:
        return self._frames(connection) or self._pictures(connection) or _events(connection)

    def _frames(self, connection: sqlite3.Connection) -> int:
        """Remove the oldest frames without a label that are too old or too many."""
        (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM frame").fetchone()
        days, most = self._limits.keep_days, self._limits.keep_rows
        oldest_at = -1.0 if days is None else time.time() - days * 86400
        oldest_id = 0 if most is None else newest - most
        query = "SELECT id, at FROM frame WHERE label = '' AND id < ? ORDER BY id LIMIT ?"
        removed = 0
        for frame, at in connection.execute(query, (newest, PACE)).fetchall():
            if at < oldest_at or frame <= oldest_id:
                remove(connection, self._database, frame)
                removed += 1
        return removed

    def _pictures(self, connection: sqlite3.Connection) -> int:
        """Remove the pictures of the oldest frames without a label while they have too many bytes."""
        excess = 0.0
        if self._limits.max_mb is not None:
            excess = totals.read(connection, "picture bytes") - self._limits.max_mb * 1e6
        if self._limits.disk_share is not None:
            disk = shutil.disk_usage(self._database.folder)
            excess = max(excess, disk.used - self._limits.disk_share * (disk.used + disk.free))
        if excess <= 0:
            return 0
        removed = 0
        query = "SELECT id, bytes FROM frame WHERE pictures != 0 AND label = '' ORDER BY id LIMIT ?"
        for frame, size in connection.execute(query, (PACE,)).fetchall():
            if excess <= 0:
                break
            _remove_pictures(connection, self._database, frame, size)
            excess -= size
            removed += 1
        return removed


def remove(connection: sqlite3.Connection, database: Database, frame: int) -> None:
    """Remove a frame with its pictures and all that is known of it; the counters stay."""
    name, part, cautions, size, has = connection.execute(
        "SELECT name, part, cautions, bytes, pictures FROM frame WHERE id = ?", (frame,)
    ).fetchone()
    if has:
        _remove_pictures(connection, database, frame, size)
    for code in cautions.split():
        connection.execute(
            "DELETE FROM caution WHERE code = (SELECT id FROM word WHERE text = ?) AND frame = ?",
            (code, frame),
        )
    connection.execute(
        "UPDATE family SET frames = frames - 1 WHERE id = (SELECT family FROM likeness WHERE frame = ?)",
        (frame,),
    )
    connection.execute(
        "INSERT INTO sought (sought, rowid, text) VALUES ('delete', ?, ?)", (frame, sought_text(name, part))
    )
    for table, column in (("likeness", "frame"), ("detail", "frame"), ("frame", "id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (frame,))  # noqa: S608 - our own names


def _remove_pictures(connection: sqlite3.Connection, database: Database, frame: int, size: int) -> None:
    pictures.remove(database.folder, frame)
    connection.execute("UPDATE frame SET pictures = 0, bytes = 0 WHERE id = ?", (frame,))
    totals.add(connection, "picture bytes", -size)


def _events(connection: sqlite3.Connection) -> int:
    """Forget events that no station sends again; return their number."""
    forgotten = connection.execute(
        "SELECT epoch.id, CASE WHEN heard < ? THEN last + 1 ELSE last - ? END FROM epoch",
        (time.time() - REPEATED_DAYS * 86400, REPEATS),
    ).fetchall()
    removed = 0
    for epoch, first in forgotten:
        if removed >= 50 * PACE:
            break
        query = "SELECT sequence FROM event WHERE epoch = ? AND sequence < ? ORDER BY sequence LIMIT ?"
        found = connection.execute(query, (epoch, first, 50 * PACE)).fetchall()
        if found:
            connection.execute("DELETE FROM event WHERE epoch = ? AND sequence <= ?", (epoch, found[-1][0]))
        removed += len(found)
    return removed
