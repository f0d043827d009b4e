"""Limits: between which values a further good part's statistics lie, from those of the good parts seen.

Of n values the next one of the same kind lies within ``mean ± t·s·√(1 + 1/n)`` with a known chance (the
prediction interval of the normal distribution; t is Student's with n − 1 degrees of freedom). The chance is
shared out among all statistics, so that at most ``MISSED`` of further good parts are outside any of them.
With few parts the limits are wide: what three parts cannot say is not said.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MISSED = 0.02
"""Share of further good parts that one statistic or another calls unusual."""
FEWEST = 3
"""Fewest values that limits are made of."""
_OUTLIER = 8.0
"""Distance from the median, in units of the robust spread, from which a value makes no limits."""
_FEWEST_FOR_OUTLIERS = 6

Limits = tuple[float, float]


def limits_of(
    values: Mapping[str, Sequence[float]], floors: Mapping[str, float], *, missed: float = MISSED
) -> dict[str, Limits]:
    """Return (low, high) for each statistic of ``values`` (name → one value for each part).

    ``floors`` is the least spread of each: parts of one hour differ less than those of a year.
    """
    found: dict[str, Limits] = {}
    for name, series in values.items():
        kept = np.asarray(series, np.float64)
        kept = kept[usual(kept, floors[name])]
        count = len(kept)
        if count < FEWEST:
            continue
        spread = max(float(kept.std(ddof=1)), floors[name])
        reach = student(missed / (2 * len(values)), count - 1) * spread * math.sqrt(1 + 1 / count)
        found[name] = (float(kept.mean() - reach), float(kept.mean() + reach))
    return found


def usual(values: NDArray[np.float64], floor: float) -> NDArray[np.bool_]:
    """Return which of ``values [n]`` are not far from all the others; all of fewer than six."""
    if len(values) < _FEWEST_FOR_OUTLIERS:
        return np.ones(len(values), bool)
    away = np.abs(values - np.median(values))
    kept: NDArray[np.bool_] = away <= _OUTLIER * max(1.4826 * float(np.median(away)), floor)
    return kept


def student(tail: float, freedom: int) -> float:
    """Return the t that Student's distribution exceeds with the chance ``tail``, 0..0.5.

    With t = √ν·tan θ the density is proportional to cos^(ν − 1) θ, which is integrated numerically.
    """
    angles = np.linspace(0, math.pi / 2, 20001)
    density = np.cos(angles) ** (freedom - 1)
    beyond = np.cumsum(((density[1:] + density[:-1]) / 2)[::-1])[::-1]
    beyond /= 2 * beyond[0]
    return math.sqrt(freedom) * math.tan(float(np.interp(-tail, -beyond, angles[:-1])))
