"""The outbox: the queue of events for the sinks, two tables in the index of the results.

An event is inserted in the same transaction as the row that it is about, so every stored row has its event
and every event its row. Each sink has a cursor of its own, so a receiver that is down does not hold the
others back. See docs/adr/0021.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from gagrad_runtime.station.events import decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.station.events import Event, StationEvent
    from gagrad_runtime.station.index import Index

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, epoch TEXT
);
CREATE TABLE IF NOT EXISTS cursor (
  sink TEXT PRIMARY KEY, delivered INTEGER NOT NULL,
  dropped INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS epoch (id TEXT NOT NULL);
INSERT INTO epoch SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT 1 FROM epoch);
CREATE TABLE IF NOT EXISTS outbox_size (bytes INTEGER NOT NULL);
INSERT INTO outbox_size SELECT (SELECT coalesce(sum(length(CAST(event AS BLOB))), 0) FROM outbox)
  WHERE NOT EXISTS (SELECT 1 FROM outbox_size);
CREATE TRIGGER IF NOT EXISTS outbox_grew AFTER INSERT ON outbox BEGIN
  UPDATE outbox_size SET bytes = bytes + length(CAST(new.event AS BLOB)); END;
CREATE TRIGGER IF NOT EXISTS outbox_shrank AFTER DELETE ON outbox BEGIN
  UPDATE outbox_size SET bytes = bytes - length(CAST(old.event AS BLOB)); END;
"""
"""With the epoch, an identity that is made at each start: numbers are unique within it. See docs/adr/0026."""

BYTES = 256 << 20
"""Most bytes of events that wait, whatever their number. Pictures are added when an event is sent."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """One event in the outbox."""

    sequence: int
    """Place of the event in this outbox."""
    event: StationEvent | None
    """The event with its ``epoch`` and ``sequence``, the same at each attempt to send it. None when the
    stored text is no event of this version of gagrad-edge; such a message cannot be sent."""
    epoch: str
    """Epoch in which it was read from the index."""


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
    """Insert ``event`` within the open transaction, and delete the oldest beyond ``limit`` or BYTES."""
    text = encode(event).decode()
    statement = "INSERT INTO outbox (event, epoch) VALUES (?, (SELECT id FROM epoch))"
    sequence = connection.execute(statement, (text,)).lastrowid or 0
    connection.execute("DELETE FROM outbox WHERE sequence <= ?", (sequence - limit,))
    (size,) = connection.execute("SELECT bytes FROM outbox_size").fetchone()
    if size > BYTES:
        connection.execute("DELETE FROM outbox WHERE sequence <= ?", (_oldest(connection, size - BYTES),))


def _oldest(connection: sqlite3.Connection, size: int) -> int:
    """Return the sequence up to which the oldest events have ``size`` bytes."""
    for sequence, length in connection.execute(
        "SELECT sequence, length(CAST(event AS BLOB)) FROM outbox ORDER BY sequence"
    ):
        size -= length
        if size <= 0:
            return int(sequence)
    return 0


class Outbox:
    """The outbox as the delivery reads it.

    Every method raises sqlite3.Error when the index cannot be used; the caller waits and retries.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    def pending(self, sink: str, count: int) -> list[Message]:
        """Return the next messages for ``sink``, at most ``count``, in order of their sequence."""
        rows = self._index.rows(
            "SELECT sequence, event, epoch, (SELECT id FROM epoch) FROM outbox "
            "WHERE sequence > (SELECT delivered FROM cursor WHERE sink = ?) ORDER BY sequence LIMIT ?",
            (sink, count),
        )
        if rows:
            self._count_gap(sink, rows[0][0])
        return [Message(row[0], _decoded(*row[:3]), row[3]) for row in rows]

    def acknowledge(self, sink: str, sequence: int, *, refused: int = 0, epoch: str | None = None) -> None:
        """Move the cursor of ``sink`` to ``sequence``; ``refused`` of the messages up to there were left out.

        Messages that every sink is past are deleted. With the ``epoch`` of the messages nothing is done when
        a new index was begun meanwhile: its first numbers are those of other events.
        """
        query = (
            "UPDATE cursor SET delivered = ?, refused = refused + ? "
            "WHERE sink = ? AND coalesce(?, (SELECT id FROM epoch)) = (SELECT id FROM epoch)"
        )
        with self._index.transaction() as connection:
            connection.execute(query, (sequence, refused, sink, epoch))
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


def _decoded(sequence: int, text: str, epoch: str) -> StationEvent | None:
    try:
        event = decode(text)
    except msgspec.DecodeError as error:
        _log.error("event %d in the outbox cannot be read: %s", sequence, error)
        return None
    # One that was rescued from another index keeps its identity.
    return event if event.sequence is not UNSET else replace(event, epoch=epoch, sequence=sequence)


def rescue(connection: sqlite3.Connection) -> list[StationEvent]:
    """Return the events of a damaged index that a sink has not acknowledged, as far as they can be read.

    Each keeps the epoch and the sequence that a receiver may have got it with. What is no event is left out:
    only whole JSON of an event passes the decoder, so damage does not come out as an event.
    """
    events: dict[int, StationEvent] = {}
    query = "SELECT sequence, event, epoch FROM outbox WHERE sequence > (SELECT min(delivered) FROM cursor)"
    for order in ("ASC", "DESC"):  # from both ends to the damaged page
        with suppress(sqlite3.Error):
            for sequence, text, epoch in connection.execute(f"{query} ORDER BY sequence {order}"):
                if (
                    isinstance(text, str)
                    and isinstance(epoch, str)
                    and (event := _decoded(sequence, text, epoch)) is not None
                ):
                    events[sequence] = event
    return [events[sequence] for sequence in sorted(events)]


def register(connection: sqlite3.Connection, sinks: Sequence[str]) -> None:
    """Give each of ``sinks`` a cursor, a new one behind the newest event; delete other cursors.

    Within the open transaction. Without any sink the outbox is emptied: a receiver that is configured later
    gets later events only.
    """
    marks = ",".join("?" * len(sinks))
    connection.execute(f"DELETE FROM cursor WHERE sink NOT IN ({marks})", tuple(sinks))  # noqa: S608
    for sink in sinks:
        connection.execute(
            "INSERT OR IGNORE INTO cursor (sink, delivered) "
            "VALUES (?, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0))",
            (sink,),
        )
    if not sinks:
        connection.execute("DELETE FROM outbox")
