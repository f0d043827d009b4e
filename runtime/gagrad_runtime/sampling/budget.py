"""A deadline: how many more copies there is time for, judged by what copies took before."""

from __future__ import annotations

from collections import deque

LEAST = 4
"""Samples that an explanation has at least: fewer have no variance to guide it, and no stability."""

_REMEMBERED = 8


class Pace:
    """What one copy, and all that follows the last copy, took lately on this device."""

    def __init__(self) -> None:
        self._copy: deque[float] = deque(maxlen=_REMEMBERED)
        self._tail: deque[float] = deque(maxlen=_REMEMBERED)

    def copies(self, rows: int, seconds: float) -> None:
        """Remember that a chunk of ``rows`` took ``seconds``."""
        self._copy.append(seconds / rows)

    def tail(self, seconds: float) -> None:
        """Remember that the map and its RCAP took ``seconds``."""
        self._tail.append(seconds)

    def room(self, seconds: float, tail: float) -> int | None:
        """Return how many copies there is time for in ``seconds``; None before the first was measured.

        By the slowest of those remembered, since a promise is better kept early than late. ``tail`` is the
        time to reserve as long as none was measured.
        """
        if not self._copy:
            return None
        return int((seconds - max(self._tail, default=tail)) / max(self._copy))


def next_size(planned: int, done: int, *, first_of_pair: bool, room: int | None) -> int:
    """Return the next chunk's size under a deadline, at most ``planned``; 0 when it is time to stop.

    Chunks come in pairs, one for each half of the samples, and the first ``LEAST`` samples come in any case.
    """
    if done < LEAST:
        least = LEAST // 2
        if room is None:
            return least
        return max(least, min(planned, room // 2 if first_of_pair else room))
    if room is None or room < (2 if first_of_pair else 1):
        return 0
    return min(planned, room // 2 if first_of_pair else room)
