"""One explanation under way: copies are added, chunk by chunk, until enough, settled, or out of time."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from gagrad_edge.errors import ModelError, OutOfMemoryError
from gagrad_runtime.sampling.stability import full_sample
from gagrad_runtime.sampling.statistics import plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_runtime.backend import Tensor
    from gagrad_runtime.sampling.statistics import Sampler

    Array = NDArray[np.float32]


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


Stop = Literal["samples", "stable", "budget"]
_SETTLING_CHUNK = 5
"""Chunk while waiting for a map to settle: it is looked at after each pair."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """When to stop; whatever comes first."""

    samples: int
    deadline: float | None = None
    """``time.perf_counter()`` by which the explanation should be done, map and RCAP included."""
    tail: float = 0.0
    """Seconds to reserve for those as long as none were measured."""
    stable: float | None = None
    """Stability that is enough, 0..1."""


@dataclass
class Estimation:
    """The samples of one explanation."""

    sampler: Sampler
    inputs: Callable[[int, int], dict[str, Tensor]]
    """The inputs of a chunk by its first sample and its size."""
    limits: Limits
    chunk: int
    pace: Pace
    agreement: Callable[[], float | None] | None = None
    """Rank correlation of the maps of both halves."""
    progress: Callable[[int, int], None] | None = None
    stopped: Stop = "samples"
    """Why there are no more samples than these."""
    stability: float | None = None
    scores: tuple[Array, Array] | None = None
    """Smallest and largest scores ``[K…]`` among the copies."""
    largest_chunk: int | None = None
    """The largest that memory allowed, if it once ran out."""
    _measured: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.limits.stable is not None:
            self.chunk = min(self.chunk, _SETTLING_CHUNK)
        self.sampler.restart()

    @property
    def ended(self) -> bool:
        """Whether a limit has been reached."""
        return self.stopped != "samples" or self.sampler.count >= self.limits.samples

    def grow(self, until: int) -> None:
        """Add copies until there are ``until``, or a limit is reached.

        When memory runs out all copies are computed anew with half the chunk, so that the map is the one that
        ``--chunk`` with that size gives.
        """
        try:
            self._grow(until)
        except OutOfMemoryError as error:
            if self.chunk == 1:
                raise
            self.chunk = self.largest_chunk = (min(self.chunk, self.limits.samples) + 1) // 2
            _log.warning("%s; going on with %d copies at a time", error.what, self.chunk)
            self.sampler.restart()
            self._measured, self.scores = 0, None
            self.grow(until)

    def measure(self) -> float | None:
        """Return the stability of the map of all copies so far, 0..1; None where it has none."""
        count = self.sampler.count
        if self.agreement is not None and count >= LEAST and self._measured != count:
            correlation = self.agreement()
            first, second = self.sampler.counts
            self.stability = None if correlation is None else full_sample(correlation, (first, second))
            self._measured = count
        return self.stability

    def _grow(self, until: int) -> None:
        until = min(until, self.limits.samples)
        sizes = plan(until - self.sampler.count, self.chunk) if until > self.sampler.count else []
        for planned in sizes:
            size = self._size(planned)
            if size == 0:
                self.stopped = "budget"
                return
            self._run(size)
            paired = self.sampler.chunks % 2 == 0
            if paired and self.limits.stable is not None and self.sampler.count >= LEAST:
                stability = self.measure()
                if stability is not None and stability >= self.limits.stable:
                    self.stopped = "stable"
                    return
        # Under a deadline chunks may be smaller than planned.
        if self.sampler.count < until:
            self._grow(until)

    def _size(self, planned: int) -> int:
        if self.limits.deadline is None:
            return planned
        room = self.pace.room(self.limits.deadline - time.perf_counter(), self.limits.tail)
        done = self.sampler.count
        size = next_size(planned, done, first_of_pair=self.sampler.chunks % 2 == 0, room=room)
        return min(size, self.limits.samples - done)

    def _run(self, rows: int) -> None:
        began = time.perf_counter()
        inputs = self.inputs(self.sampler.count, rows)
        scores = self.sampler.run(rows, inputs)
        finite(scores, "scores of a perturbed copy")
        self.pace.copies(rows, time.perf_counter() - began)
        low, high = scores.min(axis=0), scores.max(axis=0)
        if self.scores is not None:
            low, high = np.minimum(low, self.scores[0]), np.maximum(high, self.scores[1])
        self.scores = (low, high)
        if self.progress is not None:
            self.progress(self.sampler.count, self.limits.samples)


def finite(values: Array, what: str) -> Array:
    """Return ``values`` if every number in them is finite: no map is drawn from NaN. Raises ModelError."""
    if not np.isfinite(values).all():
        raise ModelError(
            f"the model's {what} are not finite numbers (NaN or infinity), so no map was drawn",
            hint="look at the image; if it is ordinary, the model's weights or its export are at fault",
        )
    return values
