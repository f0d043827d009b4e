"""Families of NG frames: those of one station and verdict whose maps point at the same part of the frame.

A frame joins the family whose first map overlaps its own most; where none does enough, it begins one. So a
family never changes its place, and a frame never its family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.viewer.likeness import from_column, overlap, to_column

if TYPE_CHECKING:
    import sqlite3

ENOUGH = 0.4
"""Overlap of the cells from which a map belongs to a family."""
MOST = 64
"""Most families of one station and verdict; a map that fits none then joins the nearest."""


def join(connection: sqlite3.Connection, station: int, verdict: int, cells: int, frame: int) -> int:
    """Return the number of the family that a map with ``cells`` joins, and count it there."""
    had = connection.execute("SELECT family FROM likeness WHERE frame = ?", (frame,)).fetchone()
    if had is not None and had[0] is not None:  # it was explained before
        return int(had[0])
    found = [
        (overlap(cells, from_column(theirs)), number)
        for number, theirs in connection.execute(
            "SELECT id, cells FROM family WHERE station = ? AND verdict = ?", (station, verdict)
        )
    ]
    likeness, family = max(found, default=(0.0, 0))
    if likeness < ENOUGH and len(found) < MOST:
        begun = connection.execute(
            "INSERT INTO family (station, verdict, cells, frames, newest) VALUES (?, ?, ?, 0, ?)",
            (station, verdict, to_column(cells), frame),
        )
        family = int(begun.lastrowid or 0)
    connection.execute(
        "UPDATE family SET frames = frames + 1, newest = max(newest, ?) WHERE id = ?", (frame, family)
    )
    return family
