"""How many copies at a time: measured once for a bundle on a device, remembered, and bounded by memory.

Another chunk size rounds differently, so a choice that changed from run to run would change the map's last
bits. So it is made only where it can be remembered; elsewhere the bundle's own size is taken. See
docs/adr/0008-chunk-size-is-measured-once.md.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.atomic import check_writable, make_folder, write_atomic
from gagrad_edge.errors import OutOfMemoryError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.backend import Backend

LADDER = (1, 2, 5, 10, 20)
"""Sizes that are tried, upwards."""
AS_FAST = 1.05
"""A size counts as fast when it takes at most this many times the best one's time for a copy."""
SHARE = 0.5
"""Share of the available memory that a chunk may take: other programs go on living."""

_log = logging.getLogger(__name__)


class Rung(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a trial of one size showed."""

    chunk: int
    seconds: float
    """For one copy."""
    memory: int
    """Bytes that the process grew by."""


class ChunkSize:
    """The chunk size of one session. ``default`` is the bundle's."""

    def __init__(self, backend: Backend, bundle_sha256: str, default: int) -> None:
        self._backend = backend
        self._default = default
        self._key = hashlib.sha256(f"{bundle_sha256} {backend.setup}".encode()).hexdigest()
        self._start = backend.memory()
        self._rungs: list[Rung] | None = None

    def choose(self, samples: int, trial: Callable[[int], object]) -> int:
        """Return the smallest fast size that fits in memory and into ``samples``.

        ``trial(n)`` runs one chunk of n copies; it is called at the first use on this device only.
        """
        if self._rungs is None:
            self._rungs = self._within_memory(self._known(trial))
        rungs = [rung for rung in self._rungs if rung.chunk <= samples]
        if not rungs:
            return self._default
        best = min(rung.seconds for rung in rungs)
        return next(rung.chunk for rung in rungs if rung.seconds <= AS_FAST * best)

    def _known(self, trial: Callable[[int], object]) -> list[Rung]:
        """Return what is remembered, or measure and remember it; nothing where that cannot be done."""
        folder = _folder()
        if folder is None or self._start is None:
            return []
        path = folder / f"{self._key}.json"
        rungs = _read(path)
        if rungs is None:
            try:
                make_folder(folder)
                check_writable(folder)
                measured = self._measure(trial)
                # The first process that writes decides for all.
                rungs = _read(path)
                if rungs is None:
                    rungs = measured
                    write_atomic(path, [msgspec.json.encode(rungs)])
            except OutputError:
                return []
        return rungs

    def _measure(self, trial: Callable[[int], object]) -> list[Rung]:
        """Climb the ladder while memory lasts and it pays; from 1 to 2 it may not yet."""
        rungs: list[Rung] = []
        for chunk in LADDER:
            memory = self._backend.memory()
            if memory is None or self._start is None:
                break
            more = rungs[-1].memory * (chunk / rungs[-1].chunk - 1) if rungs else 0
            if more > SHARE * memory.available:
                break
            try:
                seconds = min(_seconds(trial, chunk) for _ in range(2)) / chunk
            except OutOfMemoryError:
                break
            after = self._backend.memory() or memory
            rungs.append(Rung(chunk, seconds, max(0, after.used - self._start.used)))
            if chunk > 2 and AS_FAST * seconds > min(rung.seconds for rung in rungs[:-1]):
                break
        return rungs

    def _within_memory(self, rungs: list[Rung]) -> list[Rung]:
        """Leave out the sizes for which this machine has too little memory now."""
        memory = self._backend.memory()
        if memory is None or self._start is None:
            return rungs
        # What a trial in this process took is no longer available, and is ours.
        room = SHARE * (memory.available + memory.used - self._start.used)
        fitting = [rung for rung in rungs if rung.memory <= room] or rungs[:1]
        if fitting != rungs:
            _log.warning(
                "at most %d copies at a time, as only %d MB of memory are available",
                fitting[-1].chunk,
                memory.available // 2**20,
            )
        return fitting


def _folder() -> Path | None:
    """Return the folder of what is remembered; None for a user without a home."""
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(cache) / "gagrad-edge" / "chunks"


def _read(path: Path) -> list[Rung] | None:
    """Return the rungs in a file; None when it is missing, or not one of ours."""
    try:
        rungs = msgspec.json.decode(path.read_bytes(), type=list[Rung])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return rungs if rungs and all(rung.chunk in LADDER for rung in rungs) else None


def _seconds(trial: Callable[[int], object], chunk: int) -> float:
    began = time.perf_counter()
    trial(chunk)
    return time.perf_counter() - began
