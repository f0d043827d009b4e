"""Rows of lists, read from the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gagrad_runtime.viewer.pictures import kinds_of
from gagrad_runtime.viewer.storing import OUTCOMES, STRENGTHS
from gagrad_runtime.viewer.values import STATES, Row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

COLUMNS = (
    "frame.id, station.name, frame.number, frame.name, frame.part, frame.time, frame.state, word.text, "
    "frame.probability, frame.outcome, frame.reason, frame.cautions, frame.strength, frame.stability, "
    "frame.looked, frame.label, frame.pictures, frame.checked"
)
JOINED = "frame JOIN station ON station.id = frame.station LEFT JOIN word ON word.id = frame.verdict"
"""Tables that the columns are of."""
WIDTH = 18
"""Number of the columns."""


def row_of(values: Sequence[Any]) -> Row:
    """Return the row whose ``COLUMNS`` have ``values``."""
    (
        number, station, theirs, name, part, time, state, verdict, probability, outcome, reason, cautions,
        strength, stability, looked, label, pictures, checked,
    ) = values[:WIDTH]  # fmt: skip
    return Row(
        id=number,
        station=station,
        number=theirs,
        name=name,
        part=part,
        time=time,
        state=STATES[state],
        verdict=verdict or "",
        probability=probability,
        outcome=None if outcome is None else OUTCOMES[outcome],  # type: ignore[arg-type]
        reason=reason,
        cautions=tuple(cautions.split()),
        checked=bool(checked),
        strength=None if strength is None else STRENGTHS[strength],  # type: ignore[arg-type]
        stability=stability,
        looked=bool(looked),
        label=label,
        pictures=kinds_of(pictures),
    )


def rows(connection: sqlite3.Connection, rest: str, values: Sequence[Any] = ()) -> tuple[Row, ...]:
    """Return the rows of the query whose end is ``rest``: conditions, order and limit."""
    query = f"SELECT {COLUMNS} FROM {JOINED} {rest}"  # noqa: S608 - values are bound
    return tuple(row_of(found) for found in connection.execute(query, tuple(values)))


def station_number(connection: sqlite3.Connection, name: str | None) -> int | None:
    """Return the number of the station ``name``; -1 where there is none of that name, None for all."""
    if name is None:
        return None
    found = connection.execute("SELECT id FROM station WHERE name = ?", (name,)).fetchone()
    return -1 if found is None else int(found[0])
