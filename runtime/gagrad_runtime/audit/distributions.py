"""Distributions: how many parts have each value in the reference period and after it, by station."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.audit.drift import daily, interval
from gagrad_runtime.audit.findings import COARSE, SHOWN, scopes
from gagrad_runtime.language import marked

if TYPE_CHECKING:
    from gagrad_runtime.audit.findings import Array, History, Mask, Rows


@dataclass(frozen=True)
class Kind:
    """A quantity whose distribution is shown."""

    name: str
    title: str
    """In English; the page translates it."""
    edges: tuple[float, ...] = ()
    """Between its ranges, ascending; empty for the places, which are counted cell by cell."""


KINDS = (
    Kind("probability", marked("Probability of the answer"), (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)),
    Kind("lost", marked("What the answer loses when place 1 is covered"), (0.05, 0.25, 0.5, 0.75)),
    Kind("place", marked("Where place 1 lies")),
)


@dataclass(frozen=True)
class Distribution:
    """The shares of a quantity's ranges, or of the cells of the places, row by row."""

    kind: Kind
    before: Array
    """In the reference period; sums up to 1."""
    after: Array
    low: Array
    """Bootstrap interval, by days, of ``after`` less ``before``; NaN with too few days."""
    high: Array
    counts: tuple[int, int]
    """Parts before and after."""
    rows: list[Rows]
    """Ten images after the reference period behind each share."""


def distributions(history: History, reference: int) -> dict[str, list[Distribution]]:
    """Return the distributions of each scope, before and after the ``reference`` days are over."""
    rng = np.random.default_rng(0)
    found = {
        scope: [one for kind in KINDS if (one := _one(history, kind, members, reference, rng)) is not None]
        for scope, members in scopes(history)
    }
    return {scope: listed for scope, listed in found.items() if listed}


def _one(
    history: History, kind: Kind, members: Mask, reference: int, rng: np.random.Generator
) -> Distribution | None:
    index = np.flatnonzero(members & ~np.isnan(history.values[kind.name]))
    day, values = history.day[index], history.values[kind.name][index]
    classes = len(kind.edges) + 1 if kind.edges else COARSE * COARSE
    if kind.edges:
        values = np.digitize(values, kind.edges).astype(np.float64)
    series = daily(day, values, history.span, classes)
    early = np.arange(history.span) < reference
    before, after = series.mean(early), series.mean(~early)
    if np.isnan(before).any() or np.isnan(after).any():
        return None
    low, high = interval(series, early, ~early, rng)
    late = day >= reference
    rows = [history.row[index[late & (values == one)][-SHOWN:]] for one in range(classes)]
    counts = (int(series.counts[early].sum()), int(series.counts[~early].sum()))
    return Distribution(kind, before, after, low, high, counts, rows)
