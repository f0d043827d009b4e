"""Sums that are kept, because nothing is summed over all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import sqlite3

    Total = Literal["picture bytes"]


def add(connection: sqlite3.Connection, name: Total, value: int) -> None:
    """Add ``value`` to a sum, within the open transaction."""
    connection.execute(
        "INSERT INTO total VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
        (name, value),
    )


def read(connection: sqlite3.Connection, name: Total) -> int:
    """Return a sum."""
    found = connection.execute("SELECT value FROM total WHERE name = ?", (name,)).fetchone()
    return 0 if found is None else int(found[0])
