"""Recent: how long something took lately, for decisions that must not wait."""

from __future__ import annotations

import statistics
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

REMEMBERED = 8
"""Durations that count."""
FORGOTTEN = 30.0
"""Seconds after which a duration counts no more: a busy minute must not close the service for good."""
_KINDS = 256


class Recent:
    """Recent durations by kind of work. For one thread, or under one lock."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[Hashable, deque[tuple[float, float]]] = OrderedDict()

    def add(self, kind: Hashable, seconds: float) -> None:
        """Add a duration."""
        known = self._seconds.setdefault(kind, deque(maxlen=REMEMBERED))
        known.append((time.perf_counter(), seconds))
        self._seconds.move_to_end(kind)
        while len(self._seconds) > _KINDS:
            self._seconds.popitem(last=False)

    def slowest(self, kind: Hashable) -> float:
        """Return the longest recent duration of ``kind``, seconds; 0 where none is known."""
        return max(self._recent(kind), default=0.0)

    def usual(self, kind: Hashable) -> float:
        """Return the median of the recent durations of ``kind``, seconds; 0 where none is known."""
        return statistics.median(self._recent(kind) or [0.0])

    def _recent(self, kind: Hashable) -> list[float]:
        since = time.perf_counter() - FORGOTTEN
        return [seconds for at, seconds in self._seconds.get(kind, ()) if at >= since]
