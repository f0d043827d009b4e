"""One explanation in progress: samples are added, chunk by chunk, until a limit is reached."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from gagrad_edge.errors import OutOfMemoryError
from gagrad_runtime.sampling.finite import finite
from gagrad_runtime.sampling.stability import full_sample
from gagrad_runtime.sampling.statistics import chunk_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_runtime.backend import Tensor
    from gagrad_runtime.sampling.saliency import StateMaps
    from gagrad_runtime.sampling.statistics import Sampler

    Array = NDArray[np.float32]


MIN_SAMPLES = 4
"""Samples that an explanation has at least. With fewer, a half of the samples has no variance, so there is no
stability."""


_REMEMBERED = 8
"""Durations that a Pace takes into account."""


class Pace:
    """Recent durations on this device: of one sample, and of all that follows the last sample."""

    def __init__(self) -> None:
        self._sample_seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._finish_seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def add_chunk(self, samples: int, seconds: float) -> None:
        """Add a chunk of ``samples`` that took ``seconds``."""
        self._sample_seconds.append(seconds / samples)

    def add_finish(self, seconds: float) -> None:
        """Add the ``seconds`` from the last sample to the finished map and RCAP."""
        self._finish_seconds.append(seconds)

    def samples_in(self, seconds: float, reserve: float) -> int | None:
        """Return the samples that ``seconds`` allow, map and RCAP included; None before the first chunk.

        The slowest recent durations count, because a deadline is better met early than late. ``reserve``, in
        seconds, stands for map and RCAP until their duration is known.
        """
        if not self._sample_seconds:
            return None
        left = seconds - max(self._finish_seconds, default=reserve)
        return int(left / max(self._sample_seconds))


def next_size(planned: int, done: int, *, first_of_pair: bool, affordable: int | None) -> int:
    """Return the next chunk's size under a deadline, at most ``planned``; 0 when the time is up.

    ``affordable`` is the number of samples that the time left allows, None where that is not known. Chunks
    come in pairs, one for each half of the samples, and the first ``MIN_SAMPLES`` samples always come.
    """
    if done < MIN_SAMPLES:
        least = MIN_SAMPLES // 2
        if affordable is None:
            return least
        return max(least, min(planned, affordable // 2 if first_of_pair else affordable))
    if affordable is None or affordable < (2 if first_of_pair else 1):
        return 0
    return min(planned, affordable // 2 if first_of_pair else affordable)


Stop = Literal["samples", "stable", "budget"]
_CHUNK_UNTIL_STABLE = 5
"""Largest chunk when a stability is asked for: the stability is measured after each pair of chunks."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Limits of one explanation; the first that is reached ends the sampling."""

    samples: int
    deadline: float | None = None
    """Value of ``time.perf_counter()`` by which the explanation is to be done, map and RCAP included."""
    reserve: float = 0.0
    """Seconds reserved for map and RCAP until their duration on this device is known."""
    stable: float | None = None
    """Stability that is enough, 0..1."""


@dataclass
class Estimation:
    """The samples of one explanation."""

    sampler: Sampler
    inputs: Callable[[int, int], dict[str, Tensor]]
    """Inputs of a chunk, from the number of its first sample and its size."""
    limits: Limits
    chunk: int
    pace: Pace
    maps: StateMaps
    """What makes a map of the samples, and compares those of both halves."""
    progress: Callable[[int, int], None] | None = None
    """Called with (samples done, samples) after each chunk."""
    keeps: Callable[[Array], NDArray[np.bool_] | None] | None = None
    """From the scores ``[B, K…]`` of a chunk's samples to which of them keep the image's answer; None for
    samples that are no noisy copies of the image, and where there is no answer to keep."""
    stopped: Stop = "samples"
    """The limit that ended the sampling."""
    stability: float | None = None
    """Stability of the map when it was last measured, 0..1."""
    scores: tuple[Array, Array] | None = None
    """Smallest and largest scores ``[K…]`` among the samples."""
    largest_chunk: int | None = None
    """Largest chunk that memory allowed, if memory ran out."""
    _keeping: int = field(default=0, init=False)
    """Number of samples that keep the answer."""
    _judged: int = field(default=0, init=False)
    """Number of samples of which that is known."""
    _measured: int = field(default=0, init=False)
    """Number of samples at which the stability was last measured."""

    def __post_init__(self) -> None:
        if self.limits.stable is not None:
            self.chunk = min(self.chunk, _CHUNK_UNTIL_STABLE)
        self.sampler.restart()

    @property
    def ended(self) -> bool:
        """Whether a limit has been reached."""
        return self.stopped != "samples" or self.sampler.count >= self.limits.samples

    @property
    def kept(self) -> float | None:
        """Share of the samples that keep the image's answer, 0..1; None where that is not known."""
        return self._keeping / self._judged if self._judged else None

    def grow(self, until: int) -> None:
        """Add samples until there are ``until``, or a limit is reached.

        When memory runs out, all samples are computed again with half the chunk, so that the map is the one
        that a chunk of this size gives.
        """
        try:
            self._grow(until)
        except OutOfMemoryError as error:
            if self.chunk == 1:
                raise
            self.chunk = self.largest_chunk = (min(self.chunk, self.limits.samples) + 1) // 2
            _log.warning("%s; going on with %d samples at a time", error.what, self.chunk)
            self.sampler.restart()
            self._measured, self.scores = 0, None
            self._keeping = self._judged = 0
            self.grow(until)

    def measure(self) -> float | None:
        """Return the stability of the map of all samples so far, 0..1; None for a map without a stability."""
        count = self.sampler.count
        if count >= self.maps.halved and self._measured != count:
            correlation = self.maps.agreement(self.sampler)
            first, second = self.sampler.counts
            self.stability = None if correlation is None else full_sample(correlation, (first, second))
            self._measured = count
        return self.stability

    def _grow(self, until: int) -> None:
        until = min(until, self.limits.samples)
        sizes = chunk_sizes(until - self.sampler.count, self.chunk) if until > self.sampler.count else []
        for planned in sizes:
            size = self._size(planned)
            if size == 0:
                self.stopped = "budget"
                return
            self._run(size)
            paired = self.sampler.chunks % 2 == 0
            if paired and self.limits.stable is not None and self.sampler.count >= MIN_SAMPLES:
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
        affordable = self.pace.samples_in(self.limits.deadline - time.perf_counter(), self.limits.reserve)
        done = self.sampler.count
        size = next_size(planned, done, first_of_pair=self.sampler.chunks % 2 == 0, affordable=affordable)
        return min(size, self.limits.samples - done)

    def _run(self, size: int) -> None:
        began = time.perf_counter()
        inputs = self.inputs(self.sampler.count, size)
        scores = self.sampler.run(size, inputs)
        finite(scores, "scores of a sample")
        self.pace.add_chunk(size, time.perf_counter() - began)
        low, high = scores.min(axis=0), scores.max(axis=0)
        if self.scores is not None:
            low, high = np.minimum(low, self.scores[0]), np.maximum(high, self.scores[1])
        self.scores = (low, high)
        keeping = None if self.keeps is None else self.keeps(scores)
        if keeping is not None:
            self._keeping += int(keeping.sum())
            self._judged += size
        if self.progress is not None:
            self.progress(self.sampler.count, self.limits.samples)
