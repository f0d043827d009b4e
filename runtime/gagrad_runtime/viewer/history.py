"""The history: filtered, searched, page by page from the newest, in bounded time whatever is asked.

A page begins below the id where the one before ended (no ``OFFSET``), and nothing counts over all rows: the
counters by hour are kept when events are stored. A filter that nearly no row passes is answered in pieces:
ids are searched in spans, the newest first, and when TIME is over the page says how far it came.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from gagrad_runtime.viewer.rows import COLUMNS, JOINED, row_of, station_number
from gagrad_runtime.viewer.schema import ALL
from gagrad_runtime.viewer.storing import OUTCOMES
from gagrad_runtime.viewer.values import STATES, Hour, Outcome, Page, State, Value

if TYPE_CHECKING:
    import sqlite3

    from gagrad_runtime.viewer.values import Row

TIME = 0.05
"""Seconds that a search may take before it answers with what it has."""
_SPAN = 4096
"""Ids of the first span; each next one is twice as long, up to _LONGEST."""
_LONGEST = 16384
_SHORTEST_TERM = 3
"""Characters from which the index of names finds a term."""
_TERMS = 8
"""Most terms that are looked for."""


Moment = Annotated[int, msgspec.Meta(ge=-(1 << 40), le=1 << 40)]
"""Seconds since 1970, as the database can hold them: 34,000 years before and after."""


class Filter(Value, frozen=True):
    """What the history shows; None and empty stand for everything."""

    station: str | None = None
    since: Moment | None = None
    """Time of the station, seconds since 1970, from which."""
    until: Moment | None = None
    """And before which."""
    outcome: Outcome | None = None
    state: State | None = None
    verdict: str | None = None
    lowest: float | None = None
    """Least probability, 0..1."""
    highest: float | None = None
    caution: str | None = None
    """A code; ``any`` for any."""
    label: str | None = None
    """A label; ``none`` is no label: ask with ``unlabelled``."""
    unlabelled: bool = False
    not_looked: bool = False
    text: str = ""
    """Part of a name or of a part id."""


def history(
    connection: sqlite3.Connection, wanted: Filter, *, before: int | None = None, limit: int = 50
) -> Page:
    """Return the newest ``limit`` rows that ``wanted`` lets through, with ids below ``before``."""
    ended = time.monotonic() + TIME
    low, high = _bounds(connection, wanted, before)
    conditions, values = _conditions(connection, wanted)
    found: list[Row] = []
    span = _SPAN
    while high > low:
        start = max(low, high - span)
        query = (
            f"SELECT {COLUMNS} FROM {JOINED} WHERE frame.id >= ? AND frame.id < ? {conditions} "  # noqa: S608
            "ORDER BY frame.id DESC LIMIT ?"
        )
        ids = (start, high)
        bound = [ids[one.place] if isinstance(one, _Id) else one for one in values]
        rows = connection.execute(query, (*ids, *bound, limit + 1 - len(found))).fetchall()
        found.extend(map(row_of, rows))
        if len(found) > limit:
            return Page(rows=tuple(found[:limit]), older=found[limit - 1].id, searched_to=None)
        high, span = start, min(2 * span, _LONGEST)
        if time.monotonic() > ended and high > low:
            return Page(rows=tuple(found), older=high, searched_to=_time_of(connection, high))
    return Page(rows=tuple(found), older=None, searched_to=None)


class _Id:
    """In place of a bound of the span that is searched."""

    def __init__(self, place: int) -> None:
        self.place = place


_LOW, _HIGH = _Id(0), _Id(1)


def _conditions(connection: sqlite3.Connection, wanted: Filter) -> tuple[str, list[Any]]:
    """Return the conditions of ``wanted`` on a row, and their values."""
    asked: tuple[tuple[object, str, list[Any]], ...] = (
        (wanted.station, "frame.station = ?", [station_number(connection, wanted.station)]),
        (wanted.since, "frame.time >= ?", [wanted.since]),
        (wanted.until, "frame.time < ?", [wanted.until]),
        (wanted.outcome, "frame.outcome = ?", [_place(OUTCOMES, wanted.outcome)]),
        (wanted.state, "frame.state = ?", [_place(STATES, wanted.state)]),
        (wanted.verdict, "frame.verdict = ?", [_word(connection, wanted.verdict)]),
        (wanted.lowest, "frame.probability >= ?", [wanted.lowest]),
        (wanted.highest, "frame.probability <= ?", [wanted.highest]),
        (wanted.label, "frame.label != '' AND frame.label = ?", [wanted.label]),
        (wanted.unlabelled or None, "frame.label = ''", []),
        (wanted.not_looked or None, "frame.looked = 0", []),
    )
    found = [(text, values) for given, text, values in asked if given is not None]
    if wanted.caution == "any":
        found.append(("frame.cautions != ''", []))
    elif wanted.caution is not None:
        inner = "SELECT frame FROM caution WHERE code = ? AND frame >= ? AND frame < ?"
        found.append((f"frame.id IN ({inner})", [_word(connection, wanted.caution), _LOW, _HIGH]))
    found.extend(_of_term(term) for term in wanted.text.split()[:_TERMS])
    values = [value for _, some in found for value in some]
    return "".join(f" AND {text}" for text, _ in found), values


def _of_term(term: str) -> tuple[str, list[Any]]:
    """Return the condition that a name or a part id has ``term``."""
    if len(term) < _SHORTEST_TERM:
        return "instr(lower(frame.name || char(10) || frame.part), ?)", [term.lower()]
    inner = "SELECT rowid FROM sought WHERE sought MATCH ? AND rowid >= ? AND rowid < ?"
    return f"frame.id IN ({inner})", ['"' + term.replace('"', '""') + '"', _LOW, _HIGH]


def _place(names: tuple[str, ...], name: str | None) -> int | None:
    return None if name is None else names.index(name)


def _word(connection: sqlite3.Connection, text: str | None) -> int:
    found = connection.execute("SELECT id FROM word WHERE text = ?", (text,)).fetchone()
    return -1 if found is None else int(found[0])


def _bounds(connection: sqlite3.Connection, wanted: Filter, before: int | None) -> tuple[int, int]:
    """Return the ids from which, and before which, rows can be."""
    # Two queries: SQLite reads the whole table where one asks for both ends.
    (low,) = connection.execute("SELECT coalesce(min(id), 1) FROM frame").fetchone()
    (high,) = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM frame").fetchone()
    if before is not None:
        high = min(high, before)
    if wanted.since is not None or wanted.until is not None:
        since = -(1 << 40) if wanted.since is None else wanted.since // 3600
        until = 1 << 40 if wanted.until is None else (wanted.until - 1) // 3600
        station = ALL if wanted.station is None else station_number(connection, wanted.station)
        first, last = connection.execute(
            "SELECT min(first), max(last) FROM hour WHERE station = ? AND hour BETWEEN ? AND ?",
            (station, since, until),
        ).fetchone()
        low, high = (high, high) if first is None else (max(low, first), min(high, last + 1))
    return low, high


def _time_of(connection: sqlite3.Connection, number: int) -> int | None:
    found = connection.execute(
        "SELECT time FROM frame WHERE id >= ? ORDER BY id LIMIT 1", (number,)
    ).fetchone()
    return None if found is None else int(found[0])


def before_of(connection: sqlite3.Connection, when: int) -> int | None:
    """Return the ``before`` of the page that begins with the last frame up to the time ``when``."""
    found = connection.execute(
        "SELECT id FROM frame WHERE time <= ? ORDER BY time DESC, id DESC LIMIT 1", (when,)
    ).fetchone()
    return None if found is None else int(found[0]) + 1


def hours(
    connection: sqlite3.Connection, since: int, until: int, *, station: str | None = None, span: int = 3600
) -> tuple[Hour, ...]:
    """Return the counts of each ``span`` seconds (whole hours) between the two times that have frames."""
    wide = max(span // 3600, 1)
    number = ALL if station is None else station_number(connection, station)
    query = (
        "SELECT hour / ? * ?, sum(frames), sum(ng), sum(ok), sum(explained), sum(lost) FROM hour "
        "WHERE station = ? AND hour BETWEEN ? AND ? GROUP BY 1 ORDER BY 1"
    )
    values = (wide, wide * 3600, number, since // 3600, (until - 1) // 3600)
    return tuple(
        Hour(time=when, frames=frames, ng=ng, ok=ok, explained=explained, lost=lost)
        for when, frames, ng, ok, explained, lost in connection.execute(query, values)
    )


def choices(connection: sqlite3.Connection) -> Choices:
    """Return what a filter can ask for."""
    words = "SELECT text FROM word WHERE {} ORDER BY text LIMIT 500"
    verdicts = words.format("EXISTS (SELECT 1 FROM frame WHERE verdict = word.id)")
    codes = words.format("EXISTS (SELECT 1 FROM caution WHERE code = word.id)")
    return Choices(
        stations=_texts(connection, "SELECT name FROM station ORDER BY name"),
        verdicts=_texts(connection, verdicts),
        cautions=_texts(connection, codes),
        labels=_texts(connection, "SELECT label FROM labelled WHERE frames > 0 ORDER BY label LIMIT 500"),
    )


def _texts(connection: sqlite3.Connection, query: str) -> tuple[str, ...]:
    return tuple(text for (text,) in connection.execute(query))


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What a filter can ask for, each in alphabetical order."""

    stations: tuple[str, ...]
    verdicts: tuple[str, ...]
    cautions: tuple[str, ...]
    labels: tuple[str, ...]
