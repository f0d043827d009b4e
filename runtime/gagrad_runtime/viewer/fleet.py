"""All stations: what each did lately, against its own last week and against the others."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_runtime.viewer.frames import rows_of
from gagrad_runtime.viewer.rows import station_number
from gagrad_runtime.viewer.values import Camera, Covering, Disk, Fleet, Gap, Health, Receiver, Tile, Value

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from gagrad_runtime.viewer.values import Row

LAST = 50
"""Explained frames of a station that its medians are of."""
_DAY = 24


class _Tested(Value, frozen=True):
    covering: Covering | None = None


class _Told(Value, frozen=True):
    receivers: tuple[Receiver, ...] = ()
    degraded: bool = False
    waiting: int = 0


_tested = msgspec.json.Decoder(_Tested)
_told = msgspec.json.Decoder(_Told)


def fleet(connection: sqlite3.Connection, folder: Path, *, full: bool, now: float | None = None) -> Fleet:
    """Return a tile for each station, by name."""
    now = time.time() if now is None else now
    hour = int(now) // 3600
    stations = connection.execute(
        "SELECT station.id, station.name, heard, skew, disk, bundle.name, bundle.sha256, newest "
        "FROM station LEFT JOIN bundle ON bundle.id = station.bundle ORDER BY station.name"
    ).fetchall()
    usual = _usual_bundles(stations)
    day = _rates(connection, hour - _DAY + 1, hour)
    week = _rates(connection, hour - 8 * _DAY + 1, hour - _DAY)
    missing = dict(
        connection.execute(
            "SELECT station, sum(before - after - 1) FROM gap WHERE at >= ? GROUP BY station",
            (int(now) - 7 * 86400,),
        ).fetchall()
    )
    watched: dict[str, list[Camera]] = {}
    for camera in cameras(connection):
        watched.setdefault(camera.station, []).append(camera)
    newest = {row.id: row for row in _newest(connection, [one[7] for one in stations if one[7] is not None])}
    fares = {one.station: one for one in health(connection)}
    tiles = []
    for number, name, heard, skew, disk, bundle, sha256, last in stations:
        left, stability = _medians(connection, number)
        tiles.append(
            Tile(
                station=name,
                heard=heard,
                skew=skew,
                frames_hour=_frames(connection, number, hour),
                ng_rate=day.get(number),
                ng_rate_week=week.get(number),
                covering=left,
                stability=stability,
                cameras=tuple(watched.get(name, ())),
                bundle=bundle or "",
                bundle_sha256=sha256 or "",
                other_bundle=bundle is not None and usual.get(bundle, sha256) != sha256,
                disk=disk,
                health=fares.get(name),
                missing=missing.get(number, 0),
                newest=newest.get(last),
            )
        )
    return Fleet(tiles=tuple(tiles), disk=disk_of(folder, full=full))


def _newest(connection: sqlite3.Connection, numbers: list[int]) -> tuple[Row, ...]:
    found: list[Row] = []
    for start in range(0, len(numbers), 500):
        found.extend(rows_of(connection, numbers[start : start + 500]))
    return tuple(found)


def _usual_bundles(stations: list[tuple[Any, ...]]) -> dict[str, str]:
    """Return the hash that most stations have, by the bundle's name; only where one has a majority."""
    counts: dict[str, Counter[str]] = {}
    for one in stations:
        if one[5] is not None:
            counts.setdefault(one[5], Counter())[one[6]] += 1
    found = {}
    for name, hashes in counts.items():
        (sha256, most), *others = hashes.most_common(2)
        if not others or most > others[0][1]:
            found[name] = sha256
    return found


def _rates(connection: sqlite3.Connection, first: int, last: int) -> dict[int, float]:
    """Return the share of NG among the frames with an outcome of these hours, by station."""
    query = (
        "SELECT station.id, sum(ng), sum(ng + ok) FROM station JOIN hour ON hour.station = station.id "
        "WHERE hour BETWEEN ? AND ? GROUP BY station.id"
    )
    return {number: ng / known for number, ng, known in connection.execute(query, (first, last)) if known}


def _frames(connection: sqlite3.Connection, station: int, hour: int) -> int:
    query = "SELECT coalesce(sum(frames), 0) FROM hour WHERE station = ? AND hour BETWEEN ? AND ?"
    return int(connection.execute(query, (station, hour - 1, hour)).fetchone()[0])


def _medians(connection: sqlite3.Connection, station: int) -> tuple[float | None, float | None]:
    """Return the medians of what covering place 1 leaves, and of the stability, of the last maps."""
    query = (
        "SELECT stability, finding FROM frame LEFT JOIN detail ON detail.frame = frame.id "
        "WHERE frame.station = ? AND frame.state = 2 ORDER BY frame.id DESC LIMIT ?"
    )
    left, stable = [], []
    for stability, finding in connection.execute(query, (station, LAST)):
        if stability is not None:
            stable.append(stability)
        covering = None if finding is None else _tested.decode(finding).covering
        if covering is not None and covering.places and covering.before > 0:
            left.append(covering.places[0] / covering.before)
    return median(left) if left else None, median(stable) if stable else None


def cameras(connection: sqlite3.Connection, station: str | None = None) -> tuple[Camera, ...]:
    """Return the cameras of a station, or of all."""
    condition, values = "", list[int | None]()
    if station is not None:
        condition, values = "WHERE camera.station = ?", [station_number(connection, station)]
    query = (
        "SELECT name, source, state, reason, time FROM camera "  # noqa: S608 - bound
        f"JOIN station ON station.id = camera.station {condition} ORDER BY name, source"
    )
    return tuple(
        Camera(station=name, source=source, state=state, reason=reason, time=when)
        for name, source, state, reason, when in connection.execute(query, values)
    )


def health(connection: sqlite3.Connection, station: str | None = None) -> tuple[Health, ...]:
    """Return how a station fares, or all that have said so, by name."""
    condition, values = "", list[int | None]()
    if station is not None:
        condition, values = "WHERE station.id = ?", [station_number(connection, station)]
    query = (
        "SELECT name, time, disk, told FROM health JOIN station ON station.id = health.station "  # noqa: S608
        f"{condition} ORDER BY name"
    )
    found = []
    for name, when, disk, text in connection.execute(query, values):
        told = _told.decode(text)
        found.append(
            Health(
                station=name,
                time=when,
                disk=disk,
                receivers=told.receivers,
                degraded=told.degraded,
                waiting=told.waiting,
            )
        )
    return tuple(found)


def gaps(
    connection: sqlite3.Connection, since: float, *, station: str | None = None, limit: int = 100
) -> tuple[Gap, ...]:
    """Return the holes in the sequences that were seen from ``since`` on, the newest first."""
    condition, values = "", [since]
    if station is not None:
        condition, values = "AND gap.station = ?", [since, station_number(connection, station) or 0]
    query = (
        "SELECT name, after, before, at, frame FROM gap JOIN station ON station.id = gap.station "  # noqa: S608
        f"WHERE at >= ? {condition} ORDER BY at DESC, gap.id DESC LIMIT ?"
    )
    return tuple(
        Gap(station=name, after=after, before=before, at=at, frame=frame)
        for name, after, before, at, frame in connection.execute(query, (*values, limit))
    )


def disk_of(folder: Path, *, full: bool) -> Disk:
    """Return the state of the disk that ``folder`` is on."""
    disk = shutil.disk_usage(folder)
    whole = disk.used + disk.free
    return Disk(used=disk.used / whole if whole else 1.0, free_bytes=disk.free, full=full)
