"""The rule of a station: which parts are NG, and which frames are explained.

Explained are all frames, or those that are NG, not good or not sure, every n-th of them, at most so many.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gagrad_runtime.station.condition import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.station.condition import Condition, Judgement


@dataclass
class Rule:
    """The rule of one station. It has a state: the frames that it counted."""

    good: tuple[str, ...] = ()
    """Classes that need no explanation; empty: frames of every class are explained."""
    ng: tuple[Condition, ...] = ()
    """Conditions, one of which makes a part NG; then only NG parts and unsure ones are explained."""
    below: float | None = None
    """Explain also a good class whose probability is below this."""
    every: int = 1
    """Explain every n-th of the frames that ``good`` and ``below`` pick."""
    per_second: float | None = None
    """Most explanations a second on average, with no more at once than the number rounded up."""
    per_minute: float | None = None
    """Most explanations a minute on average, with no more at once than the number rounded up."""
    _passed: int = field(default=0, init=False)
    _limits: list[_Limit] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for rate, seconds in ((self.per_second, 1.0), (self.per_minute, 60.0)):
            if rate is not None:
                # 1.5 a second is 2 in any 1.33 s, and 0.5 a second is 1 in any 2 s.
                count = math.ceil(rate)
                self._limits.append(_Limit(count, seconds * count / rate))

    def judge(self, said: Prediction) -> Judgement | None:
        """Return whether the part is NG, and why; None where the rule has no conditions."""
        return judge(self.ng, said) if self.ng else None

    def wants(
        self,
        present: Sequence[str],
        probability: float | None,
        now: float,
        *,
        ng: bool | None = None,
    ) -> bool:
        """Return whether a frame is to be explained. ``now``: seconds of a monotonic clock.

        ``present`` are the classes that the model says are there: a frame is good where each of them is, so
        also where there is none. ``ng`` is what ``judge`` says; None where the rule has no conditions.
        """
        fine = bool(self.good) and all(name in self.good for name in present) if ng is None else not ng
        sure = self.below is None or probability is None or probability >= self.below
        if fine and sure:
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
