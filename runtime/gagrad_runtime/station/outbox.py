"""The outbox: the queue of events for the sinks, two tables in the index of the results.

An event is inserted in the same transaction as the row that it is about, so every stored row has its event
and every event its row. Each sink has a cursor of its own, so a receiver that is down does not hold the
others back. See docs/adr/0021.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from gagrad_runtime.station.events import decode, encode

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from gagrad_runtime.station.events import Event, StationEvent
    from gagrad_runtime.station.index import Index

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cursor (
  sink TEXT PRIMARY KEY, delivered INTEGER NOT NULL,
  dropped INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0
);
"""


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """One event in the outbox."""

    sequence: int
    """Number of the event: grows by one and never comes twice, so a receiver knows a repetition by it."""
    event: StationEvent | None
    """None when the stored text is no event of this version of gagrad-edge; such a message cannot be sent."""


@dataclass(frozen=True)
class DeliveryStatus:
    """Counts of one sink's events."""

    waiting: int
    """Events in the outbox that the receiver has not acknowledged."""
    dropped: int
    """Events deleted before they were delivered, because more than the limit waited."""
    refused: int
    """Events that were left out because the receiver will never take them."""


def put(connection: sqlite3.Connection, event: Event, limit: int) -> None:
    """Insert ``event`` within the open transaction, and delete the oldest beyond ``limit`` events."""
    text = encode(event).decode()
    sequence = connection.execute("INSERT INTO outbox (event) VALUES (?)", (text,)).lastrowid or 0
    connection.execute("DELETE FROM outbox WHERE sequence <= ?", (sequence - limit,))


class Outbox:
    """The outbox as the delivery reads it.

    Every method raises sqlite3.Error when the index cannot be used; the caller waits and retries.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    def pending(self, sink: str, count: int) -> list[Message]:
        """Return the next messages for ``sink``, at most ``count``, in order of their sequence."""
        rows = self._index.rows(
            "SELECT sequence, event FROM outbox "
            "WHERE sequence > (SELECT delivered FROM cursor WHERE sink = ?) ORDER BY sequence LIMIT ?",
            (sink, count),
        )
        if rows:
            self._count_gap(sink, rows[0][0])
        return [Message(sequence, _decoded(sequence, text)) for sequence, text in rows]

    def acknowledge(self, sink: str, sequence: int, *, refused: int = 0) -> None:
        """Move the cursor of ``sink`` to ``sequence``; ``refused`` of the messages up to there were left out.

        Messages that every sink is past are deleted.
        """
        query = "UPDATE cursor SET delivered = ?, refused = refused + ? WHERE sink = ?"
        with self._index.transaction() as connection:
            connection.execute(query, (sequence, refused, sink))
            connection.execute("DELETE FROM outbox WHERE sequence <= (SELECT min(delivered) FROM cursor)")

    def status(self, sink: str) -> DeliveryStatus:
        """Return the counts of ``sink``."""
        query = (
            "SELECT (SELECT count(*) FROM outbox WHERE sequence > delivered), dropped, refused "
            "FROM cursor WHERE sink = ?"
        )
        return DeliveryStatus(*self._index.rows(query, (sink,))[0])

    def _count_gap(self, sink: str, first: int) -> None:
        """Count the events that were deleted between the cursor of ``sink`` and the oldest that is left."""
        query = "SELECT delivered FROM cursor WHERE sink = ?"
        if self._index.rows(query, (sink,))[0][0] >= first - 1:
            return
        with self._index.transaction() as connection:
            connection.execute(
                "UPDATE cursor SET dropped = dropped + (? - 1 - delivered), delivered = ? - 1 WHERE sink = ?",
                (first, first, sink),
            )


def _decoded(sequence: int, text: str) -> StationEvent | None:
    try:
        return decode(text)
    except msgspec.DecodeError as error:
        _log.error("event %d in the outbox cannot be read: %s", sequence, error)
        return None


def register(index: Index, sinks: Sequence[str]) -> None:
    """Give each of ``sinks`` a cursor, a new one behind the newest event; delete other cursors.

    Without any sink the outbox is emptied: a receiver that is configured later gets later events only.
    """
    marks = ",".join("?" * len(sinks))
    with index.transaction() as connection:
        connection.execute(f"DELETE FROM cursor WHERE sink NOT IN ({marks})", tuple(sinks))  # noqa: S608
        for sink in sinks:
            connection.execute(
                "INSERT OR IGNORE INTO cursor (sink, delivered) "
                "VALUES (?, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0))",
                (sink,),
            )
        if not sinks:
            connection.execute("DELETE FROM outbox")
