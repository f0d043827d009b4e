"""What the index has of a frame from its verdict on, beside its row: the part's id, and cautions.

It is in a table of its own, as an earlier gagrad-edge reads the columns of ``result`` by their order, and
does not mind another table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_runtime.station.events import VerdictEvent

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from gagrad_runtime.station.events import FrameEvent

SCHEMA = """
CREATE TABLE IF NOT EXISTS noted (id INTEGER PRIMARY KEY, part TEXT, cautions TEXT);
CREATE TRIGGER IF NOT EXISTS noted_of_row AFTER DELETE ON result BEGIN
  DELETE FROM noted WHERE id = OLD.id;
END;
"""
COLUMNS = ("part", "cautions")
_CAUTIONS = msgspec.json.Decoder(list[str])


@dataclass(frozen=True)
class Noted:
    """What is known of a frame from its verdict on."""

    part: str | None = None
    """The part's id; None where the frame's name has none."""
    cautions: tuple[str, ...] = ()
    """Codes of cautions about the frame, as in the event ``verdict``."""


def put(connection: sqlite3.Connection, number: int, event: FrameEvent) -> None:
    """Write what ``event`` says to row ``number``, within the open transaction."""
    part = event.part if isinstance(event.part, str) else None
    cautions = event.cautions if isinstance(event, VerdictEvent) else None
    text = msgspec.json.encode(cautions).decode() if isinstance(cautions, list) else None
    if part is not None or text is not None:
        connection.execute("INSERT OR REPLACE INTO noted VALUES (?, ?, ?)", (number, part, text))


def read(values: Sequence[Any]) -> Noted:
    """Return what the ``COLUMNS`` with ``values`` say; of a row without them nothing."""
    part, cautions = values
    return Noted(part, () if cautions is None else tuple(_CAUTIONS.decode(cautions)))
