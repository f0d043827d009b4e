"""Shares of yes and no with their intervals, and means of shares over networks."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Z = 1.959964
"""Of a 95 % interval."""


class Share:
    """How many of how many."""

    def __init__(self, answers: Iterable[bool]) -> None:
        whole = [bool(one) for one in answers]
        self.yes, self.count = sum(whole), len(whole)

    @property
    def value(self) -> float:
        """The share, 0..1; not a number without answers."""
        return self.yes / self.count if self.count else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        if not self.count:
            return 0.0, 1.0
        n, p = self.count, self.value
        middle, below = p + Z * Z / (2 * n), 1 + Z * Z / n
        half = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        return max((middle - half) / below, 0.0), min((middle + half) / below, 1.0)

    def __str__(self) -> str:
        if not self.count:
            return "–"
        low, high = self.interval
        return f"{self.value:.2f} ({low:.2f}–{high:.2f})"

    def __add__(self, other: Share) -> Share:
        added = Share(())
        added.yes, added.count = self.yes + other.yes, self.count + other.count
        return added


def mean(shares: Iterable[Share]) -> float:
    """Return the mean of the shares that have answers."""
    values = [one.value for one in shares if one.count]
    return sum(values) / len(values) if values else float("nan")
