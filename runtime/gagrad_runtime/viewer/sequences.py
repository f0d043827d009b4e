"""Which events there are: each once by station, epoch and sequence, and where the sequence has a hole.

A station numbers its events one after the other, over its restarts too, each of which begins an epoch; only
a new index begins again at 1. Order is that of the sequence, whatever the clocks say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from gagrad_runtime.viewer.received import Received


def put(connection: sqlite3.Connection, station: int, event: Received, at: float) -> bool:
    """Note that ``event`` came; return whether it is new."""
    found = connection.execute(
        "SELECT id, last FROM epoch WHERE station = ? AND name = ?", (station, event.epoch)
    ).fetchone()
    if found is None:
        epoch, last = _begin(connection, station, event, at)
    else:
        epoch, last = found
    done = connection.execute("INSERT OR IGNORE INTO event VALUES (?, ?)", (epoch, event.sequence))
    if not done.rowcount:
        return False
    if last is not None and event.sequence > last + 1:
        newest = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'frame'").fetchone()
        connection.execute(
            "INSERT INTO gap (station, epoch, after, before, at, frame) VALUES (?, ?, ?, ?, ?, ?)",
            (station, epoch, last, event.sequence, int(at), 0 if newest is None else newest[0]),
        )
    elif last is not None and event.sequence < last:
        _fill(connection, epoch, event.sequence)
    connection.execute(
        "UPDATE epoch SET last = max(last, ?), heard = ? WHERE id = ?", (event.sequence, at, epoch)
    )
    return True


def _begin(
    connection: sqlite3.Connection, station: int, event: Received, at: float
) -> tuple[int, int | None]:
    """Begin an epoch; return its number, and the last sequence before it where the numbers go on."""
    before = connection.execute(
        "SELECT last FROM epoch WHERE station = ? ORDER BY id DESC LIMIT 1", (station,)
    ).fetchone()
    epoch = connection.execute(
        "INSERT INTO epoch (station, name, last, heard) VALUES (?, ?, ?, ?)",
        (station, event.epoch, event.sequence, at),
    ).lastrowid
    last = None if before is None or event.sequence <= before[0] else int(before[0])
    return int(epoch or 0), last


def _fill(connection: sqlite3.Connection, epoch: int, sequence: int) -> None:
    """Make a hole smaller, in which ``sequence`` was missing."""
    found = connection.execute(
        "SELECT id, after, before, station, at, frame FROM gap "
        "WHERE epoch = ? AND after < ? AND before > ? ORDER BY after DESC LIMIT 1",
        (epoch, sequence, sequence),
    ).fetchone()
    if found is None:
        return
    number, after, before, station, at, frame = found
    connection.execute("DELETE FROM gap WHERE id = ?", (number,))
    for low, high in ((after, sequence), (sequence, before)):
        if high > low + 1:
            connection.execute(
                "INSERT INTO gap (station, epoch, after, before, at, frame) VALUES (?, ?, ?, ?, ?, ?)",
                (station, epoch, low, high, at, frame),
            )
