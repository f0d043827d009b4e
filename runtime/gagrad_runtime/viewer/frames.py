"""One frame with all that is known of it, and the frames that are like it."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gagrad_runtime.viewer.labels import labels_of
from gagrad_runtime.viewer.likeness import from_column, overlap, sameness
from gagrad_runtime.viewer.rows import COLUMNS, JOINED, WIDTH, row_of, rows
from gagrad_runtime.viewer.values import Covering, Frame, Place, RcapPoint, Said, Similar, Value, Version

if TYPE_CHECKING:
    import sqlite3

    from gagrad_runtime.viewer.values import Row

NEAREST = 20_000
"""Explained frames, the newest, among which similar ones are looked for."""
_SAME_PICTURE = 0.75
"""Sameness from which two pictures are said to be alike."""


class Finding(Value, frozen=True):
    """What the event of an explanation told, beside the row."""

    target: str = ""
    against: str = ""
    places: tuple[Place, ...] = ()
    covering: Covering | None = None
    rcap: float | None = None
    samples: int | None = None
    seconds: float | None = None
    roi_share: float | None = None
    roi_passed: bool | None = None
    height: int | None = None
    width: int | None = None
    record: str = ""


_findings = msgspec.json.Decoder(Finding)


def frame(connection: sqlite3.Connection, number: int) -> Frame | None:
    """Return frame ``number``; None where there is none, or no more."""
    more = (
        "frame.at, frame.seconds, hex(frame.sha256), bundle.name, bundle.sha256, said, finding, record, "
        "frame.station"
    )
    query = (
        f"SELECT {COLUMNS}, {more} FROM {JOINED} LEFT JOIN detail ON detail.frame = frame.id "  # noqa: S608
        "LEFT JOIN bundle ON bundle.id = frame.bundle WHERE frame.id = ?"
    )
    values = connection.execute(query, (number,)).fetchone()
    if values is None:
        return None
    at, seconds, sha256, bundle, bundle_sha256, said, finding, record, station = values[WIDTH:]
    told = Finding() if finding is None else _findings.decode(finding)
    recorded: dict[str, Any] = {} if record is None else msgspec.json.decode(record)
    saying: dict[str, Any] = {} if said is None else msgspec.json.decode(said)
    return Frame(
        row=row_of(values),
        at=at,
        target=told.target,
        against=told.against,
        places=told.places,
        covering=told.covering,
        rcap=told.rcap,
        curve=_curve(recorded),
        samples=told.samples,
        model_seconds=seconds,
        map_seconds=told.seconds,
        said=_said(saying) or _top(recorded),
        answer=_text(saying.get("answer")),
        height=told.height or _size(saying.get("height")),
        width=told.width or _size(saying.get("width")),
        bundle=bundle or "",
        bundle_sha256=bundle_sha256 or "",
        sha256=(sha256 or "").lower(),
        roi_share=told.roi_share,
        roi_passed=told.roi_passed,
        labels=labels_of(connection, number),
        before=_beside(connection, station, number, "<", "DESC"),
        after=_beside(connection, station, number, ">", "ASC"),
        record=told.record,
    )


def record(connection: sqlite3.Connection, number: int) -> str | None:
    """Return the JSON record of frame ``number``; None where its station sends none."""
    found = connection.execute("SELECT record FROM detail WHERE frame = ?", (number,)).fetchone()
    return None if found is None else found[0]


def _beside(connection: sqlite3.Connection, station: int, number: int, sign: str, order: str) -> int | None:
    query = f"SELECT id FROM frame WHERE station = ? AND id {sign} ? ORDER BY id {order} LIMIT 1"  # noqa: S608
    found = connection.execute(query, (station, number)).fetchone()
    return None if found is None else int(found[0])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _size(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _curve(recorded: dict[str, Any]) -> tuple[RcapPoint, ...]:
    """Return the curve in the record ``recorded``, from the lowest level; empty where RCAP was not asked."""
    rcap = recorded.get("rcap")
    if not isinstance(rcap, dict):
        return ()
    lists = [rcap.get(name) for name in ("levels", "ratio", "confidence")]
    if not all(isinstance(one, list) for one in lists):
        return ()
    points = [
        RcapPoint(level=level, ratio=_number(ratio), confidence=_number(confidence))
        for level, ratio, confidence in zip(*lists, strict=False)
        if _number(level) is not None
    ]
    return tuple(sorted(points, key=lambda point: point.level))


def _said(saying: dict[str, Any]) -> tuple[Said, ...]:
    """Return what a model of any task says."""
    found = [
        Said(name=_text(one.get("name")), value=_number(one.get("probability")))
        for one in _list(saying.get("classes"))
    ]
    found += [
        Said(name=_text(one.get("class")), value=_number(one.get("score")), box=_box(one.get("box")))
        for one in _list(saying.get("detections"))
    ]
    found += [
        Said(name=_text(one.get("name")), value=_number(one.get("share")))
        for one in _list(saying.get("areas"))
    ]
    for name in ("score", "value"):
        if _number(saying.get(name)) is not None:
            found.append(Said(name=name, value=_number(saying[name])))
    return tuple(found)


def _top(recorded: dict[str, Any]) -> tuple[Said, ...]:
    return tuple(
        Said(name=_text(one.get("name")), value=_number(one.get("probability")))
        for one in _list(recorded.get("top"))
    )


def _box(value: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(value, list) or len(value) != 4 or any(_number(one) is None for one in value):
        return None
    left, top, right, bottom = map(float, value)
    return left, top, right, bottom


def similar(
    connection: sqlite3.Connection, number: int, by: Literal["map", "picture"], limit: int = 8
) -> tuple[Similar, ...]:
    """Return the frames of the same station that are most like frame ``number``, the likest first."""
    column = "cells" if by == "map" else "picture"
    found = connection.execute(
        f"SELECT {column}, station FROM likeness JOIN frame ON id = frame WHERE frame = ?",  # noqa: S608
        (number,),
    ).fetchone()
    if found is None or not found[0]:
        return ()
    mine, station = from_column(found[0]), found[1]
    measure, least = (overlap, 0.0) if by == "map" else (sameness, _SAME_PICTURE)
    query = (
        f"SELECT likeness.{column}, likeness.frame FROM frame JOIN likeness ON likeness.frame = frame.id "  # noqa: S608
        "WHERE frame.station = ? AND frame.state = 2 AND frame.id != ? ORDER BY frame.id DESC LIMIT ?"
    )
    others = (
        (measure(mine, from_column(bits)), other)
        for bits, other in connection.execute(query, (station, number, NEAREST))
        if bits
    )
    best = heapq.nlargest(limit, (one for one in others if one[0] > least))
    shown = {row.id: row for row in rows_of(connection, [other for _, other in best])}
    return tuple(Similar(row=shown[other], likeness=likeness) for likeness, other in best if other in shown)


def rows_of(connection: sqlite3.Connection, numbers: list[int]) -> tuple[Row, ...]:
    """Return the rows of the frames ``numbers``, in that order."""
    marks = ",".join("?" * len(numbers))
    found = {row.id: row for row in rows(connection, f"WHERE frame.id IN ({marks})", numbers)}
    return tuple(found[number] for number in numbers if number in found)


def versions(connection: sqlite3.Connection, number: int, limit: int = 20) -> tuple[Version, ...]:
    """Return all looks of models at the file of frame ``number``, itself included, the newest first."""
    query = (
        f"SELECT {COLUMNS}, bundle.name, bundle.sha256 FROM {JOINED} "  # noqa: S608
        "LEFT JOIN bundle ON bundle.id = frame.bundle WHERE frame.sha256 = "
        "(SELECT sha256 FROM frame WHERE id = ?) ORDER BY frame.id DESC LIMIT ?"
    )
    return tuple(
        Version(row=row_of(values), bundle=values[WIDTH] or "", bundle_sha256=values[WIDTH + 1] or "")
        for values in connection.execute(query, (number, limit))
    )
