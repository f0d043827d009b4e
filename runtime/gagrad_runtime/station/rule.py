"""Which frames are explained: all, every Nth, those not good or not sure, and how many at most."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Rule:
    """The rule of one station; it remembers what it needs to count."""

    good: tuple[str, ...] = ()
    """Classes that need no explanation; empty: any class may get one."""
    below: float | None = None
    """Explain also a good class whose probability is below this."""
    every: int = 1
    """Of those that the rest lets through, explain each N-th."""
    per_minute: float | None = None
    """At most so many in any minute."""
    _passed: int = field(default=0, init=False)
    _times: deque[float] = field(default_factory=deque, init=False)

    def wants(self, verdict: str, probability: float | None, now: float) -> bool:
        """Tell whether a frame is explained. ``now`` is seconds of a clock that never jumps."""
        if self.good and verdict in self.good:
            sure = self.below is None or probability is None or probability >= self.below
            if sure:
                return False
        self._passed += 1
        if (self._passed - 1) % self.every:
            return False
        while self._times and now - self._times[0] >= 60:
            self._times.popleft()
        if self.per_minute is not None and len(self._times) >= self.per_minute:
            return False
        self._times.append(now)
        return True
