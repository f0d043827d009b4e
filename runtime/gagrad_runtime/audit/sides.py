"""Two bundles on the same images: their numbers side by side, image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_runtime.audit.drift import daily, paired
from gagrad_runtime.audit.findings import EVERYWHERE, QUANTITIES, SHOWN, coarse
from gagrad_runtime.audit.packages import arrow
from gagrad_runtime.audit.reading import codes, days, keys, maps, numbers, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gagrad_runtime.audit.findings import Array, Mask, Quantity, Rows

_COLUMNS = ("ng", "probability", "decides")
_STATIONS = 10
"""Stations with lines of their own."""


@dataclass(frozen=True)
class Side:
    """A quantity of both bundles, at a station or at all, over the images that have it with both."""

    scope: str
    quantity: Quantity
    images: int
    before: float
    """Of the other bundle; NaN of a distribution."""
    after: float
    difference: float
    """``after`` less ``before``; of a distribution the share that lies elsewhere."""
    low: float
    """Bootstrap interval of the difference, by days."""
    high: float
    rows: Rows
    """Ten images on which the two differ most."""


def sides(folder: Path, other: Path) -> list[Side]:
    """Return the numbers of the audits in ``folder`` and ``other``, two bundles', on equal images."""
    ours, theirs = (_values(one) for one in (folder, other))
    joined = ours.join(theirs, "sha256", join_type="inner", right_suffix=" before").sort_by("row")
    if not len(joined):
        return []
    rng = np.random.default_rng(0)
    day = days(joined)
    day = np.where(day >= 0, day - day[day >= 0].min(initial=0), 0)
    return [
        side
        for scope, members in _scopes(joined)
        for quantity in QUANTITIES
        if not quantity.camera
        if (side := _side(joined, scope, members, quantity, day, rng)) is not None
    ]


def _scopes(table: Any) -> Iterator[tuple[str, Mask]]:
    yield EVERYWHERE, np.ones(len(table), bool)
    station, stations = codes(table, "station")
    if len(stations) > 1:
        for code in np.argsort(-np.bincount(station), kind="stable")[:_STATIONS]:
            if stations[code]:
                yield stations[code], station == code


def _side(
    table: Any, scope: str, members: Mask, quantity: Quantity, day: Rows, rng: np.random.Generator
) -> Side | None:
    before, after = (numbers(table, f"{quantity.name}{suffix}") for suffix in (" before", ""))
    known = np.flatnonzero(members & ~np.isnan(before) & ~np.isnan(after))
    if not len(known):
        return None
    before, after, day = before[known], after[known], day[known]
    first, second = (daily(day, one, int(day.max()) + 1, quantity.classes) for one in (before, after))
    difference, low, high = paired(first, second, rng)
    several = quantity.classes > 1
    apart = (before != after).astype(float) if several else np.abs(after - before)
    order = np.argsort(-apart, kind="stable")[:SHOWN]
    rows = table["row"].to_numpy()[known[order[apart[order] > 0]]]
    means = (float("nan"),) * 2 if several else (float(before.mean()), float(after.mean()))
    return Side(scope, quantity, len(known), *means, difference, low, high, rows)


def _values(folder: Path) -> Any:
    """Return the quantities of each answered image, equal images once, by the pixels' hash."""
    pa = arrow()
    table = read(folder, ["row", "sha256", "time", "station", *_COLUMNS], "answered")
    decides = numbers(table, "decides")
    explained = read(folder, ["row", "map"], "explained")
    place: Array = np.full(len(table), np.nan)
    here = np.searchsorted(table["row"].to_numpy(), explained["row"].to_numpy())
    there = np.append(table["row"].to_numpy(), -1)[here] == explained["row"].to_numpy()
    place[here[there]] = coarse(maps(explained))[there]
    table = table.drop_columns(["decides"])
    table = table.append_column("decided", pa.array(np.where(np.isnan(decides), np.nan, decides > 0)))
    table = table.append_column("place", pa.array(place))
    once = np.sort(np.unique(keys(table, "sha256"), return_index=True)[1])
    return table.take(once)
