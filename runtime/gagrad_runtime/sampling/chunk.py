"""The chunk size: measured once for a bundle on a device, remembered, and bounded by memory.

Another chunk size rounds differently, so a size that changed from run to run would change the map's last
bits. The size is therefore measured only where the result can be stored; elsewhere it is the bundle's. Few
samples run in two halves of their own, so for them only the sizes up to such a half are measured, and chosen
among: an explanation of five samples does not wait for chunks of twenty. See
docs/adr/0008-chunk-size-is-measured-once.md.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.atomic import check_writable, make_folder, write_atomic
from gagrad_edge.errors import OutOfMemoryError, OutputError
from gagrad_runtime.machine.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gagrad_runtime.backend import Backend
    from gagrad_runtime.machine.memory import Memory

LADDER = (1, 2, 3, 5, 10, 20)
"""Sizes that are measured beside the bundle's, upwards."""
GAIN = 1.1
"""Least speed-up for which a size above the bundle's is taken, as it needs more memory."""
ALIKE = 1.05
"""Ratio to the fastest time up to which a size is as good; of these the largest is taken, as it splits a few
samples into fewer runs. What does not fit into a core's cache is slower by more than that."""
RUNS, ENOUGH = (2, 6), 0.3
"""Least and most runs of a size, and seconds after which they are enough: what disturbs a short run, such as
memory that it takes for the first time, may be longer than the run."""
SHARE = 0.5
"""Share of the available memory that a chunk may take; the rest is for other programs."""

_log = logging.getLogger(__name__)


class Rung(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The measurement of one chunk size."""

    chunk: int
    seconds: float
    """Seconds for one sample."""
    memory: int
    """Bytes by which the process grew."""


class Ladder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The measurements so far, upwards."""

    rungs: list[Rung]
    ended: bool
    """Whether a larger size would not fit into memory, or not be faster."""


class ChunkSize:
    """The chunk size of one session. ``default`` is the bundle's; create it before any graph has run."""

    def __init__(self, backend: Backend, bundle_sha256: str, default: int) -> None:
        self._backend = backend
        self._default = default
        self._sizes = sorted({*LADDER, default})
        self._key = hashlib.sha256(f"{bundle_sha256} {backend.setup}".encode()).hexdigest()
        self._start = backend.memory()
        self._chosen: dict[int, int] = {}

    def chosen(self, samples: int) -> int | None:
        """Return the size that was chosen for so many samples; None before ``choose`` was asked for them."""
        return self._chosen.get(self._most(samples))

    def choose(self, run_chunk: Callable[[int], object], samples: int | None = None) -> int:
        """Return the bundle's size, or one that is clearly faster, or the fastest that memory allows.

        ``run_chunk(n)`` runs one chunk of n samples; called at the bundle's first use on this device only.
        ``samples`` is the number of an explanation's: sizes beyond half of it are the same to it.
        """
        if self._start is None:
            return self._default
        most = self._most(samples)
        if most not in self._chosen:
            self._chosen[most] = self._choose(run_chunk, self._start, most)
        return self._chosen[most]

    def _most(self, samples: int | None) -> int:
        """Return the largest size that differs from others for so many samples, which run in two halves."""
        half = self._sizes[-1] if samples is None else -(-samples // 2)
        return next((size for size in self._sizes if size >= half), self._sizes[-1])

    def _choose(self, run_chunk: Callable[[int], object], start: Memory, most: int) -> int:
        known = [rung for rung in self._known(run_chunk, start, most) if rung.chunk <= most]
        rungs = {rung.chunk: rung for rung in self._within_memory(known, start)}
        if not rungs:
            return self._default
        return _preferred(rungs, self._default)

    def _known(self, run_chunk: Callable[[int], object], start: Memory, most: int) -> list[Rung]:
        """Return the measurements of sizes up to ``most``; those that are missing are made and stored.

        Empty where nothing can be stored.
        """
        folder = cache_folder("chunks")
        if folder is None:
            return []
        path = folder / f"{self._key}.json"
        ladder = self._read(path)
        if self._covers(ladder, most):
            return ladder.rungs
        try:
            make_folder(folder)
            check_writable(folder)
            measured = self._measure(run_chunk, start, ladder.rungs, most)
            # Of two processes that measured at once, the first to write decides for both.
            if not self._covers(self._read(path), most):
                write_atomic(path, [msgspec.json.encode(measured)])
        except OutputError:
            return []
        return self._read(path).rungs

    def _covers(self, ladder: Ladder, most: int) -> bool:
        """Tell whether no size up to ``most`` is left to be measured."""
        known = {rung.chunk for rung in ladder.rungs}
        return ladder.ended or all(size in known for size in self._sizes if size <= most)

    def _measure(
        self, run_chunk: Callable[[int], object], start: Memory, known: list[Rung], most: int
    ) -> Ladder:
        """Measure the sizes upwards while memory suffices, and beyond the bundle's while they get faster."""
        rungs, ended = list(known), False
        self._backend.rest()  # else memory that earlier runs have left would count for nothing
        start = self._backend.memory() or start
        for chunk in self._sizes[len(rungs) :]:
            if chunk > most:
                break
            if rungs:
                last, best = rungs[-1], min(rung.seconds for rung in rungs)
                limit = SHARE * (self._backend.memory() or start).available
                too_large = last.memory * (chunk / last.chunk - 1) > limit
                if too_large or (chunk > self._default and last.seconds > best):
                    ended = True
                    break
            try:
                seconds = _fastest(run_chunk, chunk) / chunk
            except OutOfMemoryError:
                ended = True
                break
            growth = (self._backend.memory() or start).used - start.used
            rungs.append(Rung(chunk, seconds, max(0, growth)))
        self._backend.rest()  # the largest size took more than those that follow need
        return Ladder(rungs, ended)

    def _within_memory(self, rungs: list[Rung], start: Memory) -> list[Rung]:
        """Return the measurements of the sizes for which this machine has enough memory now."""
        memory = self._backend.memory() or start
        # Memory that a measurement in this process took is no longer available, but still this process's.
        limit = SHARE * (memory.available + memory.used - start.used)
        fitting = [rung for rung in rungs if rung.memory <= limit] or rungs[:1]
        if fitting != rungs:
            _log.warning(
                "at most %d samples at a time, as only %d MB of memory are available",
                fitting[-1].chunk,
                memory.available // 2**20,
            )
        return fitting

    def _read(self, path: Path) -> Ladder:
        """Return the measurements in a file; none where it is missing or not a file of this module."""
        nothing = Ladder([], ended=False)
        try:
            ladder = msgspec.json.decode(path.read_bytes(), type=Ladder)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return nothing
        sizes = [rung.chunk for rung in ladder.rungs]
        return ladder if sizes and sizes == self._sizes[: len(sizes)] else nothing


def _preferred(rungs: dict[int, Rung], default: int) -> int:
    """Return the largest size up to ``default`` that is as fast as any; one beyond it if clearly faster."""
    usual = [rung for rung in rungs.values() if rung.chunk <= default] or list(rungs.values())
    fastest = min(rung.seconds for rung in usual)
    chosen = max((rung for rung in usual if rung.seconds <= ALIKE * fastest), key=lambda rung: rung.chunk)
    best = min(rungs.values(), key=lambda rung: rung.seconds)
    return best.chunk if best.chunk > default and chosen.seconds > GAIN * best.seconds else chosen.chunk


def _fastest(run_chunk: Callable[[int], object], chunk: int) -> float:
    """Return the seconds of the fastest of some runs of a chunk."""
    taken: list[float] = []
    while len(taken) < RUNS[0] or (len(taken) < RUNS[1] and sum(taken) < ENOUGH):
        began = time.perf_counter()
        run_chunk(chunk)
        taken.append(time.perf_counter() - began)
    return min(taken)
