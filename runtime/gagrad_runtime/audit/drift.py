"""Drift: whether a week's parts differ from the reference period's by more than the days among themselves.

Parts of one day are alike: same batch, same light, same shift. So a day counts as one observation, and not
each part. Whether a difference is chance is asked by permutation: the days of both periods are dealt out
anew, and the difference counts if few deals give one as large. All comparisons of a report share one risk of
a false alarm (Holm). The interval beside a difference is a bootstrap by days.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]

RISK = 0.03
"""Chance that the report of a plant without drift has any alarm; docs promise 0.05."""
LEAST_REFERENCE, LEAST_TESTED = 5, 3
"""Days of each period below which nothing is tested."""
_DEALS, _MORE_DEALS, _RESAMPLED = 4999, 49_999, 500
"""More deals are for a difference that hardly any of the first reaches: many comparisons share one risk."""
_FEW = 3
_SMALL = 1e-12


@dataclass(frozen=True)
class Daily:
    """A quantity day by day: sums ``[D, K]`` and counts ``[D]``; K is 1, or the classes of a distribution."""

    sums: Array
    counts: Array

    def mean(self, days: Mask) -> Array:
        """Return the mean ``[K]`` over the parts of ``days``; NaN where there are none."""
        count = self.counts[days].sum()
        mean: Array = self.sums[days].sum(axis=0) / (count or np.nan)
        return mean


@dataclass(frozen=True)
class Comparison:
    """A period against the reference period."""

    before: Array
    after: Array
    difference: float
    """``after`` less ``before``; of distributions the share that lies elsewhere, 0..1."""
    low: float
    high: float
    """Bootstrap interval of the difference, 95 %."""
    chance: float | None
    """Share of deals with a difference as large; None with too few days."""


def daily(day: NDArray[np.int64], values: Array, days: int, classes: int = 1) -> Daily:
    """Return ``values [N]`` by ``day [N]``, each from 0 to ``days``; NaN is left out.

    With several ``classes`` the values are their numbers, and the mean is the distribution.
    """
    known = ~np.isnan(values)
    day, values = day[known], values[known]
    counts = np.bincount(day, minlength=days).astype(np.float64)
    if classes == 1:
        return Daily(np.bincount(day, values, minlength=days).astype(np.float64)[:, None], counts)
    keys = day * classes + values.astype(np.int64)
    cells = np.bincount(keys, minlength=days * classes).astype(np.float64)
    return Daily(cells.reshape(days, classes), counts)


def compared(quantity: Daily, reference: Mask, tested: Mask, rng: np.random.Generator) -> Comparison:
    """Return how the days ``tested [D]`` differ from the days ``reference [D]``."""
    reference, tested = reference & (quantity.counts > 0), tested & (quantity.counts > 0)
    before, after = quantity.mean(reference), quantity.mean(tested)
    difference = float(_difference(after[None], before[None])[0])
    first, second = int(reference.sum()), int(tested.sum())
    if first < LEAST_REFERENCE or second < LEAST_TESTED:
        return Comparison(before, after, difference, float("nan"), float("nan"), None)
    again = [
        _means(quantity, days, rng.multinomial(number, [1 / number] * number, _RESAMPLED))
        for days, number in ((reference, first), (tested, second))
    ]
    low, high = np.quantile(_difference(again[1], again[0]), (0.025, 0.975))
    both = np.flatnonzero(reference | tested)
    for number in (_DEALS, _MORE_DEALS):
        extreme = _as_large(quantity, both, second, number, abs(difference))
        if extreme > _FEW:
            break
    return Comparison(before, after, difference, float(low), float(high), (extreme + 1) / (number + 1))


def interval(quantity: Daily, first: Mask, second: Mask, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the bootstrap interval ``[K], [K]`` of what each value has more in ``second`` than in ``first``.

    Both are days ``[D]``. It is NaN with too few days.
    """
    first, second = first & (quantity.counts > 0), second & (quantity.counts > 0)
    numbers = int(first.sum()), int(second.sum())
    if numbers[0] < LEAST_REFERENCE or numbers[1] < LEAST_TESTED:
        unknown = np.full(quantity.sums.shape[1], np.nan)
        return unknown, unknown
    before, after = (
        _means(quantity, days, rng.multinomial(number, [1 / number] * number, _RESAMPLED))
        for days, number in zip((first, second), numbers, strict=True)
    )
    low, high = np.quantile(after - before, (0.025, 0.975), axis=0)
    return low, high


def paired(before: Daily, after: Daily, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return how much more ``after`` is than ``before``, both of the same parts, and its bootstrap interval.

    Of distributions it is the share that lies elsewhere. The same days are drawn for both. The interval is
    NaN with too few days.
    """
    days = after.counts > 0
    number = int(days.sum())
    difference = float(_difference(after.mean(days)[None], before.mean(days)[None])[0])
    if number < LEAST_REFERENCE:
        return difference, float("nan"), float("nan")
    weights = rng.multinomial(number, [1 / number] * number, _RESAMPLED)
    drawn = _difference(_means(after, days, weights), _means(before, days, weights))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return difference, float(low), float(high)


def _as_large(quantity: Daily, days: NDArray[np.int64], tested: int, number: int, difference: float) -> int:
    """Return how many of ``number`` deals of ``days`` into two periods give at least ``difference``."""
    dealt = _deals(len(days), tested, number)
    both = np.column_stack([quantity.sums[days], quantity.counts[days]])
    second = dealt @ both
    first = both.sum(axis=0) - second
    means = [one[:, :-1] / np.maximum(one[:, -1:], _SMALL) for one in (second, first)]
    return int((np.abs(_difference(*means)) >= difference - _SMALL).sum())


@lru_cache(maxsize=3)
def _deals(days: int, tested: int, number: int) -> Array:
    """Return ``[number, days]``: 1 for the days that a deal puts into the tested period."""
    rng = np.random.default_rng((days, tested, number))
    dealt = np.zeros((number, days))
    chosen = np.argsort(rng.random(dealt.shape), axis=1)[:, :tested]
    np.put_along_axis(dealt, chosen, 1.0, axis=1)
    return dealt


def alarms(chances: Sequence[float | None], risk: float = RISK) -> list[bool]:
    """Return which comparisons are no chance, so that any false one has at most ``risk`` (Holm, 1979)."""
    known = sorted((chance, index) for index, chance in enumerate(chances) if chance is not None)
    found = [False] * len(chances)
    for rank, (chance, index) in enumerate(known):
        if chance > risk / (len(known) - rank):
            break
        found[index] = True
    return found


def _means(quantity: Daily, days: Mask, weights: NDArray[np.float64] | NDArray[np.int64]) -> Array:
    """Return the mean ``[B, K]`` for each row of ``weights [B, days]``."""
    sums, counts = weights @ quantity.sums[days], weights @ quantity.counts[days]
    means: Array = sums / np.maximum(counts, _SMALL)[:, None]
    return means


def _difference(after: Array, before: Array) -> Array:
    """Return the differences ``[B]`` of means ``[B, K]``: signed of one number, else of distributions."""
    if after.shape[1] == 1:
        return after[:, 0] - before[:, 0]
    total: Array = np.abs(after - before).sum(axis=1) / 2
    return total
