"""What the index has of a frame from its verdict on, beside its row: the part's id.

It is in a table of its own, as an earlier gagrad-edge reads the columns of ``result`` by their order, and
does not mind another table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from gagrad_runtime.station.events import FrameEvent

SCHEMA = """
CREATE TABLE IF NOT EXISTS noted (id INTEGER PRIMARY KEY, part TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS noted_of_row AFTER DELETE ON result BEGIN
  DELETE FROM noted WHERE id = OLD.id;
END;
"""
COLUMNS = ("part",)


@dataclass(frozen=True)
class Noted:
    """What is known of a frame from its verdict on."""

    part: str | None = None
    """The part's id; None where the frame's name has none."""


def put(connection: sqlite3.Connection, number: int, event: FrameEvent) -> None:
    """Write what ``event`` says to row ``number``, within the open transaction."""
    part = event.part if isinstance(event.part, str) else None
    if part is not None:
        connection.execute("INSERT OR REPLACE INTO noted VALUES (?, ?)", (number, part))


def read(values: Sequence[Any]) -> Noted:
    """Return what the ``COLUMNS`` with ``values`` say; of a row without them nothing."""
    return Noted(*values)
