"""The gallery: NG frames in families whose maps point at the same part of the frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.viewer.frames import rows_of
from gagrad_runtime.viewer.likeness import from_column, numbers_of
from gagrad_runtime.viewer.rows import rows, station_number
from gagrad_runtime.viewer.values import Group, Page

if TYPE_CHECKING:
    import sqlite3

_SHOWN = 8
"""Frames of a family that the gallery shows."""


def groups(
    connection: sqlite3.Connection, *, station: str | None = None, before: int | None = None, limit: int = 24
) -> tuple[Group, ...]:
    """Return the families, those with the newest frames first.

    ``before``: only those whose newest frame has a lower id, for the next page.
    """
    condition, values = "", [1 << 62 if before is None else before]
    if station is not None:
        condition, values = "AND family.station = ?", [*values, station_number(connection, station) or 0]
    query = (
        "SELECT family.id, word.text, station.name, frames, cells FROM family "  # noqa: S608 - bound
        "JOIN word ON word.id = family.verdict JOIN station ON station.id = family.station "
        f"WHERE family.newest < ? AND family.frames > 0 {condition} ORDER BY family.newest DESC LIMIT ?"
    )
    found = []
    for number, verdict, name, frames, cells in connection.execute(query, (*values, limit)).fetchall():
        newest = [one for (one,) in connection.execute(_NEWEST, (number, 1 << 62, _SHOWN))]
        found.append(
            Group(
                id=number,
                verdict=verdict,
                station=name,
                frames=frames,
                newest=rows_of(connection, newest),
                cells=numbers_of(from_column(cells)),
            )
        )
    return tuple(found)


_NEWEST = "SELECT frame FROM likeness WHERE family = ? AND frame < ? ORDER BY frame DESC LIMIT ?"


def group(connection: sqlite3.Connection, number: int, *, before: int | None = None, limit: int = 50) -> Page:
    """Return the frames of family ``number``, the newest first."""
    condition = "WHERE frame.id IN (SELECT frame FROM likeness WHERE family = ? AND frame < ?)"
    found = rows(
        connection,
        f"{condition} ORDER BY frame.id DESC LIMIT ?",
        (number, 1 << 62 if before is None else before, limit + 1),
    )
    older = found[limit - 1].id if len(found) > limit else None
    return Page(rows=found[:limit], older=older, searched_to=None)
