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
    per_second: float | None = None
    """At most so many in any second; below 1, one in so many seconds."""
    per_minute: float | None = None
    """At most so many in any minute."""
    _passed: int = field(default=0, init=False)
    _limits: list[_Limit] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for rate, seconds in ((self.per_second, 1.0), (self.per_minute, 60.0)):
            if rate is not None:
                self._limits.append(_Limit(max(1, int(rate)), seconds if rate >= 1 else seconds / rate))

    def wants(self, verdict: str, probability: float | None, now: float) -> bool:
        """Tell whether a frame is explained. ``now`` is seconds of a clock that never jumps."""
        if self.good and verdict in self.good:
            sure = self.below is None or probability is None or probability >= self.below
            if sure:
                return False
        self._passed += 1
        if (self._passed - 1) % self.every:
            return False
        if not all(limit.allows(now) for limit in self._limits):
            return False
        for limit in self._limits:
            limit.times.append(now)
        return True


@dataclass
class _Limit:
    """At most ``count`` in any ``seconds``."""

    count: int
    seconds: float
    times: deque[float] = field(default_factory=deque)

    def allows(self, now: float) -> bool:
        while self.times and now - self.times[0] >= self.seconds:
            self.times.popleft()
        return len(self.times) < self.count
