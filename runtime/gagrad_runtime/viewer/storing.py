"""One event of a station becomes rows, within the open transaction of the writing thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gagrad_runtime.viewer import families, pictures, sequences, totals
from gagrad_runtime.viewer.likeness import cells_of, to_column
from gagrad_runtime.viewer.schema import ALL
from gagrad_runtime.viewer.values import STATES

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path
    from typing import Any

    from gagrad_runtime.viewer.received import Received
    from gagrad_runtime.viewer.values import PictureKind, State

OUTCOMES = ("OK", "NG")
CAMERA_STATES = ("connected", "frozen", "lost")
STRENGTHS = ("none", "weak", "strong")
_NUMBER: dict[State, int] = {state: number for number, state in enumerate(STATES)}
_LOST = ("dropped", "failed", "quarantined")
_FINDING = (
    "target", "against", "places", "covering", "rcap", "samples", "seconds", "roi_share", "roi_passed",
    "height", "width", "record",
)  # fmt: skip
"""Fields of an event that only the page of its frame shows."""


class Arrived(NamedTuple):
    """What came with a message, beside the event."""

    time: int
    """The event's, seconds since 1970."""
    at: float
    """When the message came in."""
    skew: float | None
    """Seconds that the station's clock was ahead when it sent the message."""
    pictures: dict[PictureKind, bytes]
    looks: int | None
    """What the frame looks like: ``likeness.looks_of``."""


class Stored(NamedTuple):
    """What the pages are told of a new event."""

    kind: str
    station: str
    frame: int | None


def store(connection: sqlite3.Connection, folder: Path, event: Received, arrived: Arrived) -> Stored | None:
    """Store ``event``; return None when it is stored already. Raises sqlite3.Error and OutputError."""
    station = _station(connection, event, arrived)
    if not sequences.put(connection, station, event, arrived.at):
        return None
    frame: int | None = None
    if event.event == "source":
        _camera(connection, station, event, arrived)
    elif event.event == "health":
        _health(connection, station, event, arrived)
    elif event.event == "verdict":
        frame = _verdict(connection, station, event, arrived)
    elif event.event == "explained":
        frame = _explained(connection, folder, station, event, arrived)
    elif event.event in _LOST:
        frame = _lost(connection, station, event, arrived)
    return Stored(event.event, event.station, frame)


def _station(connection: sqlite3.Connection, event: Received, arrived: Arrived) -> int:
    """Note that the station was heard; return its number."""
    connection.execute(
        "INSERT INTO station (name, heard, skew) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
        "SET heard = excluded.heard, skew = coalesce(excluded.skew, skew)",
        (event.station, arrived.at, arrived.skew),
    )
    (number,) = connection.execute("SELECT id FROM station WHERE name = ?", (event.station,)).fetchone()
    if event.disk is not None:
        connection.execute("UPDATE station SET disk = ? WHERE id = ?", (event.disk, number))
    return int(number)


def word(connection: sqlite3.Connection, text: str) -> int:
    """Return the number of ``text`` among the words that repeat: verdicts and codes."""
    found = connection.execute("SELECT id FROM word WHERE text = ?", (text,)).fetchone()
    if found is None:
        return int(connection.execute("INSERT INTO word (text) VALUES (?)", (text,)).lastrowid or 0)
    return int(found[0])


def _bundle(connection: sqlite3.Connection, station: int, event: Received) -> int | None:
    if not event.bundle_sha256:
        return None
    values = (event.bundle or "", event.bundle_sha256)
    connection.execute("INSERT OR IGNORE INTO bundle (name, sha256) VALUES (?, ?)", values)
    (number,) = connection.execute("SELECT id FROM bundle WHERE name = ? AND sha256 = ?", values).fetchone()
    connection.execute(
        "UPDATE station SET bundle = ? WHERE id = ? AND bundle IS NOT ?", (number, station, number)
    )
    return int(number)


def outcome_of(event: Received) -> int | None:
    """Return the outcome that ``event`` tells, as the column has it."""
    if event.outcome in OUTCOMES:
        return OUTCOMES.index(event.outcome)
    return None if event.ng is None else int(event.ng)


def _insert(
    connection: sqlite3.Connection, station: int, event: Received, arrived: Arrived, state: State
) -> int:
    """Insert the frame of ``event``, and count it; return its number."""
    name, part, hour = event.file or "", event.part or "", arrived.time // 3600
    outcome = outcome_of(event)
    values: dict[str, Any] = {
        "station": station,
        "number": event.id,
        "name": name,
        "part": part,
        "time": arrived.time,
        "at": arrived.at,
        "hour": hour,
        "state": _NUMBER[state],
        "verdict": None if event.verdict is None else word(connection, event.verdict),
        "probability": event.probability,
        "outcome": outcome,
        "reason": event.reason or "",
        "cautions": " ".join(event.cautions or ()),
        "checked": event.cautions is not None,
        "bundle": _bundle(connection, station, event),
        "sha256": _hash(event.sha256),
        "seconds": event.seconds if event.event == "verdict" else None,
    }
    marks = ", ".join("?" * len(values))
    statement = f"INSERT INTO frame ({', '.join(values)}) VALUES ({marks})"  # noqa: S608 - our own names
    number = int(connection.execute(statement, tuple(values.values())).lastrowid or 0)
    connection.execute("INSERT INTO sought (rowid, text) VALUES (?, ?)", (number, sought_text(name, part)))
    counted = {"frames": 1, "ng": outcome == 1, "ok": outcome == 0, "lost": state in _LOST}
    count(connection, station, hour, number, **{key: int(value) for key, value in counted.items()})
    connection.execute("UPDATE station SET newest = ? WHERE id = ?", (number, station))
    return number


def sought_text(name: str, part: str) -> str:
    """Return what a frame is found by: the same again when it is removed."""
    return f"{name}\n{part}" if part else name


def count(connection: sqlite3.Connection, station: int, hour: int, frame: int, **counted: int) -> None:
    """Add ``counted`` to the counters of ``hour``, of the station and of all."""
    names = ", ".join(counted)
    marks = ", ".join("?" * len(counted))
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in counted)
    for one in (station, ALL):
        connection.execute(
            f"INSERT INTO hour (station, hour, first, last, {names}) VALUES (?, ?, ?, ?, {marks}) "  # noqa: S608
            f"ON CONFLICT DO UPDATE SET {added}, first = min(first, excluded.first), "
            "last = max(last, excluded.last)",
            (one, hour, frame, frame, *counted.values()),
        )


def _verdict(connection: sqlite3.Connection, station: int, event: Received, arrived: Arrived) -> int:
    frame = _insert(connection, station, event, arrived, "waiting" if event.explain else "verdict")
    _cautions(connection, frame, event)
    if event.said is not None:
        said = msgspec.json.encode(event.said).decode()
        connection.execute("INSERT INTO detail (frame, said) VALUES (?, ?)", (frame, said))
    return frame


def _find(connection: sqlite3.Connection, station: int, event: Received) -> int | None:
    """Return the newest frame that ``event`` is about, by the number and the name of its row there."""
    if event.id is None:
        return None
    query = "SELECT id FROM frame WHERE station = ? AND number = ? AND name = ? ORDER BY id DESC LIMIT 1"
    found = connection.execute(query, (station, event.id, event.file or "")).fetchone()
    return None if found is None else int(found[0])


def _explained(
    connection: sqlite3.Connection, folder: Path, station: int, event: Received, arrived: Arrived
) -> int:
    frame = _find(connection, station, event)
    if frame is None:  # its verdict never came
        frame = _insert(connection, station, event, arrived, "waiting")
    size = pictures.keep(folder, frame, arrived.pictures)
    hour, before, had, had_bytes, earlier = connection.execute(
        "SELECT hour, outcome, state, bytes, cautions FROM frame WHERE id = ?", (frame,)
    ).fetchone()
    totals.add(connection, "picture bytes", size - had_bytes)
    outcome = outcome_of(event) if before is None else before
    connection.execute(
        "UPDATE frame SET state = ?, outcome = ?, cautions = ?, checked = 1, strength = ?, stability = ?, "
        "pictures = ?, bytes = ?, bundle = coalesce(?, bundle), verdict = coalesce(verdict, ?) WHERE id = ?",
        (
            _NUMBER["explained"],
            outcome,
            " ".join(event.cautions or ()),
            STRENGTHS.index(event.strength) if event.strength in STRENGTHS else None,
            event.place_stability,
            pictures.mask(arrived.pictures),
            size,
            _bundle(connection, station, event),
            None if event.verdict is None else word(connection, event.verdict),
            frame,
        ),
    )
    counted = {"explained": int(had != _NUMBER["explained"])}
    if before is None and outcome is not None:
        counted["ng" if outcome else "ok"] = 1
    count(connection, station, hour, frame, **counted)
    _details(connection, frame, event)
    for code in earlier.split():  # of the verdict; the explanation has all
        connection.execute(
            "DELETE FROM caution WHERE code = ? AND frame = ?", (word(connection, code), frame)
        )
    _cautions(connection, frame, event)
    cells = cells_of(event.places or (), event.height, event.width)
    family = None
    if outcome != 0 and event.verdict is not None and cells:
        family = families.join(connection, station, word(connection, event.verdict), cells, frame)
    looks = None if arrived.looks is None else to_column(arrived.looks)
    connection.execute(
        "INSERT OR REPLACE INTO likeness VALUES (?, ?, ?, ?)", (frame, to_column(cells), looks, family)
    )
    return frame


def _cautions(connection: sqlite3.Connection, frame: int, event: Received) -> None:
    """Let ``frame`` be found by the cautions of ``event``."""
    for code in set(event.cautions or ()):
        connection.execute("INSERT OR IGNORE INTO caution VALUES (?, ?)", (word(connection, code), frame))


def _details(connection: sqlite3.Connection, frame: int, event: Received) -> None:
    """Keep what only the page of the frame shows."""
    finding = {name: value for name in _FINDING if (value := getattr(event, name)) is not None}
    record = None if event.record_json is None else msgspec.json.encode(event.record_json).decode()
    connection.execute(
        "INSERT INTO detail (frame, finding, record) VALUES (?, ?, ?) ON CONFLICT (frame) DO UPDATE "
        "SET finding = excluded.finding, record = excluded.record",
        (frame, msgspec.json.encode(finding).decode(), record),
    )


def _lost(connection: sqlite3.Connection, station: int, event: Received, arrived: Arrived) -> int:
    """Store that a frame gets no verdict, or no explanation."""
    frame, state = _find(connection, station, event), _NUMBER[event.event]  # type: ignore[index]
    if frame is None:
        return _insert(connection, station, event, arrived, event.event)  # type: ignore[arg-type]
    hour, had = connection.execute("SELECT hour, state FROM frame WHERE id = ?", (frame,)).fetchone()
    connection.execute(
        "UPDATE frame SET state = ?, reason = ? WHERE id = ?", (state, event.reason or "", frame)
    )
    if STATES[had] not in _LOST:
        count(connection, station, hour, frame, lost=1)
    return frame


def _camera(connection: sqlite3.Connection, station: int, event: Received, arrived: Arrived) -> None:
    if event.state in CAMERA_STATES:
        connection.execute(
            "INSERT OR REPLACE INTO camera VALUES (?, ?, ?, ?, ?)",
            (station, event.source or "", event.state, event.reason or "", arrived.time),
        )


def _health(connection: sqlite3.Connection, station: int, event: Received, arrived: Arrived) -> None:
    """Keep how the station fares; a camera whose change of state never came is known by this."""
    told = {"receivers": event.receivers or [], "degraded": event.degraded, "waiting": event.waiting or 0}
    values = (station, arrived.time, msgspec.json.encode(told).decode())
    connection.execute("INSERT OR REPLACE INTO health VALUES (?, ?, ?)", values)
    if event.camera in CAMERA_STATES:
        connection.execute(
            "INSERT INTO camera VALUES (?, ?, ?, '', ?) ON CONFLICT DO UPDATE SET "
            "time = CASE state WHEN excluded.state THEN time ELSE excluded.time END, state = excluded.state",
            (station, event.source or "", event.camera, arrived.time),
        )


def _hash(text: str | None) -> bytes | None:
    """Return a hash of hexadecimal digits as bytes; None for anything else."""
    try:
        return bytes.fromhex(text or "") or None
    except ValueError:
        return None
