"""What is still to be told to others: events in the index of the results, in order, until each sink has them.

An event is written in the transaction of the row that it tells of, so nothing that is stored is forgotten
and nothing is told that is not stored. Each sink has its own cursor: a dead one does not hold the others
back. See docs/adr/0021.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from gagrad_runtime.station.index import Index

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cursor (
  sink TEXT PRIMARY KEY, delivered INTEGER NOT NULL,
  dropped INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0
);
"""


@dataclass(frozen=True)
class Letter:
    """One event on its way."""

    sequence: int
    """Grows by one with each event of the station and never comes twice; receivers tell repetitions by it."""
    event: dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """How far a sink is."""

    waiting: int
    dropped: int
    """Events that had to go before they were delivered, since too many waited."""
    refused: int
    """Events that the receiver will never take."""


def put(connection: sqlite3.Connection, event: dict[str, Any], limit: int) -> None:
    """Add an event, within the transaction under way; beyond ``limit`` the oldest go."""
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    sequence = connection.execute("INSERT INTO outbox (event) VALUES (?)", (text,)).lastrowid or 0
    connection.execute("DELETE FROM outbox WHERE sequence <= ?", (sequence - limit,))


class Outbox:
    """The outbox as the delivery sees it.

    Raises sqlite3.Error where the index cannot be used; the caller waits and tries again.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    def waiting(self, sink: str, count: int) -> list[Letter]:
        """Return the next events for ``sink``, at most ``count``, in order."""
        rows = self._index.rows(
            "SELECT sequence, event FROM outbox "
            "WHERE sequence > (SELECT delivered FROM cursor WHERE sink = ?) ORDER BY sequence LIMIT ?",
            (sink, count),
        )
        if rows:
            self._count_gap(sink, rows[0][0])
        return [Letter(sequence, json.loads(event)) for sequence, event in rows]

    def done(self, sink: str, sequence: int, *, refused: int = 0) -> None:
        """Remember that ``sink`` has everything up to ``sequence``, but for ``refused`` that it never takes.

        What all sinks have goes.
        """
        query = "UPDATE cursor SET delivered = ?, refused = refused + ? WHERE sink = ?"
        with self._index.transaction() as connection:
            connection.execute(query, (sequence, refused, sink))
            connection.execute("DELETE FROM outbox WHERE sequence <= (SELECT min(delivered) FROM cursor)")

    def standing(self, sink: str) -> Standing:
        """Return how far ``sink`` is."""
        query = (
            "SELECT (SELECT count(*) FROM outbox WHERE sequence > delivered), dropped, refused "
            "FROM cursor WHERE sink = ?"
        )
        return Standing(*self._index.rows(query, (sink,))[0])

    def _count_gap(self, sink: str, first: int) -> None:
        """Count what was dropped between the last delivered event and the oldest that is left."""
        query = "SELECT delivered FROM cursor WHERE sink = ?"
        if self._index.rows(query, (sink,))[0][0] >= first - 1:
            return
        with self._index.transaction() as connection:
            connection.execute(
                "UPDATE cursor SET dropped = dropped + (? - 1 - delivered), delivered = ? - 1 WHERE sink = ?",
                (first, first, sink),
            )


def enrol(index: Index, sinks: Sequence[str]) -> None:
    """Make the cursors those of ``sinks``: a new one begins with what comes next, one that is gone goes.

    Events of a time without sinks are not there, so nothing is told late that nobody asked for.
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
