"""What the report says, before it is a page: periods compared, maps, duplicates, two bundles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_runtime.audit.drift import Comparison, alarms, compared, daily
from gagrad_runtime.audit.duplicates import groups, near
from gagrad_runtime.audit.quality import unpacked
from gagrad_runtime.audit.reading import codes, days, keys, maps, numbers, read
from gagrad_runtime.audit.table import GRID
from gagrad_runtime.language import marked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Rows = NDArray[np.int64]
    Mask = NDArray[np.bool_]

SHOWN = 10
"""Images behind each number."""
EVERYWHERE, NOWHERE = marked("all stations"), marked("no station")
COARSE = 4
"""Cells along each side in which the strongest place of a map is counted."""
_STATIONS, _WEEKS = 10, 13
"""Stations with lines of their own, the others are in the lines of all; and weeks, the last ones. All are
compared at one risk: what is compared without need hides what matters."""
_REFERENCE = 1 / 3
"""Share of the days, the first ones, that are the reference period."""


@dataclass(frozen=True)
class Quantity:
    """One column of the report."""

    name: str
    title: str
    """In English; the page translates it."""
    classes: int = 1
    worst: int = 1
    """Which images stand behind the number: 1 for the highest values, -1 for the lowest."""
    camera: bool = False
    """Whether it says something of the picture, and not of what the model makes of it."""


QUANTITIES = (
    Quantity("ng", marked("NG rate")),
    Quantity("probability", marked("mean probability of the answer"), worst=-1),
    Quantity("decided", marked("explained parts of which a place decides"), worst=-1),
    Quantity("place", marked("where place 1 lies"), classes=COARSE * COARSE),
    Quantity("brightness", marked("brightness, of white"), worst=-1, camera=True),
    Quantity("contrast", marked("contrast, of white"), worst=-1, camera=True),
    Quantity("sharpness", marked("sharpness, of white"), worst=-1, camera=True),
)


@dataclass(frozen=True)
class Cell:
    """One number: a quantity in a week at a station, against the reference period."""

    scope: str
    week: date
    quantity: Quantity
    comparison: Comparison
    rows: Rows
    """Ten images behind it."""
    alarm: bool = False


@dataclass(frozen=True)
class History:
    """The columns that the report reads, one value for each image."""

    row: Rows
    day: Rows
    """From the first day on; -1 where the time is not known."""
    first: date
    station: Rows
    stations: list[str]
    values: dict[str, Array]

    @property
    def span(self) -> int:
        """Number of days from the first to the last."""
        return int(self.day.max(initial=-1)) + 1


def history(folder: Path) -> History:
    """Return the columns of the audit in ``folder``, of images with an answer."""
    plain = ["ng", "probability", "brightness", "contrast", "sharpness"]
    table = read(
        folder, ["row", "time", "station", *plain, "decides", "covered", "covered_before"], "answered"
    )
    day = days(table)
    known = day[day >= 0]
    begin = int(known.min()) if len(known) else 0
    values = {name: numbers(table, name) for name in plain}
    decides = numbers(table, "decides")
    values["decided"] = np.where(np.isnan(decides), np.nan, decides > 0)
    values["lost"] = numbers(table, "covered_before") - numbers(table, "covered")
    row = table["row"].to_numpy()
    explained = read(folder, ["row", "map"], "explained")
    values["place"] = np.full(len(row), np.nan)
    where = np.searchsorted(row, explained["row"].to_numpy())
    there = np.append(row, -1)[where] == explained["row"].to_numpy()
    values["place"][where[there]] = coarse(maps(explained))[there]
    station, stations = codes(table, "station")
    first = date(1970, 1, 1) + timedelta(days=begin)
    return History(row, np.where(day >= 0, day - begin, -1), first, station, stations, values)


def coarse(packed: NDArray[np.uint8]) -> Array:
    """Return in which of 4 by 4 cells each map ``[N, 256]`` is highest."""
    row, column = np.divmod(packed.argmax(axis=1), GRID)
    side = GRID // COARSE
    cells: Array = (row // side * COARSE + column // side).astype(np.float64)
    return cells


def reference_days(history: History) -> int:
    """Return how many of the first days are the reference period; whole weeks, if there are several."""
    length = round(history.span * _REFERENCE)
    return length - length % 7 if length >= 14 else length


def cells(history: History, reference: int) -> list[Cell]:
    """Return all numbers of the report: each quantity in each week after the reference days, by station."""
    rng = np.random.default_rng(0)
    found = [
        one for scope, members in scopes(history) for one in _cells(history, scope, members, reference, rng)
    ]
    marked = alarms([one.comparison.chance for one in found])
    return [replace(one, alarm=alarm) for one, alarm in zip(found, marked, strict=True)]


def scopes(history: History) -> Iterator[tuple[str, Mask]]:
    """Yield all parts with a time, and those of each of the largest stations, by name."""
    dated = history.day >= 0
    yield EVERYWHERE, dated
    if len(history.stations) > 1:
        counts = np.bincount(history.station[dated], minlength=len(history.stations))
        for code in np.argsort(-counts, kind="stable")[:_STATIONS]:
            yield history.stations[code] or NOWHERE, dated & (history.station == code)


def _cells(
    history: History, scope: str, members: Mask, reference: int, rng: np.random.Generator
) -> Iterator[Cell]:
    index = np.flatnonzero(members)
    day, span = history.day[index], history.span
    calendar = np.arange(span)
    weeks = (calendar + history.first.weekday()) // 7
    before = calendar < reference
    for quantity in QUANTITIES:
        values = history.values[quantity.name][index]
        series = daily(day, values, span, quantity.classes)
        for week in np.unique(weeks[~before])[-_WEEKS:]:
            tested = (weeks == week) & ~before
            here = tested[day]
            if not here.any() or not series.counts[tested].any():
                continue
            monday = history.first + timedelta(days=int(np.flatnonzero(weeks == week)[0]))
            chosen = index[here][_behind(values[here], quantity)]
            yield Cell(scope, monday, quantity, compared(series, before, tested, rng), history.row[chosen])


def _behind(values: Array, quantity: Quantity) -> Rows:
    """Return the indices of ten images behind a number: the extreme ones, or those of the commonest place."""
    known: Rows = np.flatnonzero(~np.isnan(values))
    if quantity.classes > 1:
        counts = np.bincount(values[known].astype(np.int64))
        commonest: Rows = known[values[known] == counts.argmax()][:SHOWN]
        return commonest
    extreme: Rows = known[np.argsort(-quantity.worst * values[known], kind="stable")[:SHOWN]]
    return extreme


@dataclass(frozen=True)
class MeanMaps:
    """Mean shares ``[16, 16]`` of two sets of maps."""

    before: Array
    after: Array
    counts: tuple[int, int]
    rows: Rows
    """Ten images whose maps are most like the difference."""


def mean_maps(folder: Path, history: History, reference: int) -> MeanMaps | None:
    """Return the mean map of the reference period and of what follows; None where one of them has none."""
    table = read(folder, ["row", "time", "map"], "explained")
    if not len(table):
        return None
    origin = (history.first - date(1970, 1, 1)).days
    day = days(table) - origin
    return _two(maps(table), table["row"].to_numpy(), (day >= 0) & (day < reference), day >= reference)


def _two(packed: NDArray[np.uint8], rows: Rows, first: Mask, second: Mask) -> MeanMaps | None:
    if not first.any() or not second.any():
        return None
    shares = unpacked(packed)
    before, after = (shares[one].mean(axis=0, dtype=np.float64) for one in (first, second))
    alike = (shares[second] * (after - before)).sum(axis=(1, 2))
    order = np.argsort(-alike, kind="stable")[:SHOWN]
    return MeanMaps(before, after, (int(first.sum()), int(second.sum())), rows[second][order])


@dataclass(frozen=True)
class Copies:
    """Groups of equal or nearly equal images, by row, the largest first."""

    equal: list[Rows]
    alike: list[Rows]


def copies(folder: Path) -> Copies:
    """Return the duplicates of the audit in ``folder``, and the near-duplicates that are no duplicates."""
    table = read(folder, ["row", "sha256", "phash"], "answered")
    row = table["row"].to_numpy()
    pixels = keys(table, "sha256")
    equal = groups(pixels)
    first = np.unique(pixels, return_index=True)[1]
    alike = near(table["phash"].to_numpy()[first])
    return Copies([row[one] for one in equal], [row[first[one]] for one in alike])


@dataclass(frozen=True)
class Versus:
    """Two bundles on the same images."""

    images: int
    changed: list[tuple[str, str, Rows]]
    """Answer of the other bundle, answer of this one, and the images, most images first."""
    maps: MeanMaps | None
    """Of images that both explain: ``before`` is the other bundle's."""


def versus(folder: Path, other: Path) -> Versus:
    """Return how the audits in ``folder`` and ``other``, two bundles', differ on equal images."""
    ours, theirs = (_answers(one) for one in (folder, other))
    joined = ours.join(theirs, "sha256", join_type="inner", right_suffix=" before").sort_by("row")
    before, names = codes(joined, "verdict before")
    after, others = codes(joined, "verdict")
    row = joined["row"].to_numpy()
    pairs = before * len(others) + after
    found = [
        (names[key // len(others)], others[key % len(others)], row[pairs == key])
        for key in np.unique(pairs)
        if names[key // len(others)] != others[key % len(others)]
    ]
    changed = sorted(found, key=lambda one: -len(one[2]))
    return Versus(len(row), changed, _both(folder, other))


def _answers(folder: Path) -> Any:
    table = read(folder, ["row", "sha256", "verdict"], "answered")
    first = np.unique(keys(table, "sha256"), return_index=True)[1]
    return table.take(np.sort(first))


def _both(folder: Path, other: Path) -> MeanMaps | None:
    tables = []
    for one in (folder, other):
        table = read(one, ["row", "sha256", "map"], "explained")
        tables.append(table.take(np.sort(np.unique(keys(table, "sha256"), return_index=True)[1])))
    both = set(tables[0]["sha256"].to_pylist()) & set(tables[1]["sha256"].to_pylist())
    if not both:
        return None
    kept = [table.filter([one in both for one in table["sha256"].to_pylist()]) for table in tables]
    packed = np.concatenate([maps(one) for one in reversed(kept)])
    new = np.arange(len(packed)) >= len(kept[1])
    return _two(packed, np.concatenate([one["row"].to_numpy() for one in reversed(kept)]), ~new, new)
