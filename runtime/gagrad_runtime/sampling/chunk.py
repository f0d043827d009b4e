"""How many copies at a time: measured once for a bundle on a device, remembered, and bounded by memory.

Another chunk size rounds differently, so a choice that changed from run to run would change the map's last
bits. So it is made only where it can be remembered; elsewhere the bundle's own size is taken. See
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

LADDER = (1, 2, 5, 10, 20)
"""Sizes that are tried beside the bundle's, upwards."""
GAIN = 1.1
"""How many times as fast a size must be to be preferred to the bundle's: less may be chance."""
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
    """The chunk size of one session. ``default`` is the bundle's; open it before anything has run."""

    def __init__(self, backend: Backend, bundle_sha256: str, default: int) -> None:
        self._backend = backend
        self._default = default
        self._sizes = sorted({*LADDER, default})
        self._key = hashlib.sha256(f"{bundle_sha256} {backend.setup}".encode()).hexdigest()
        self._start = backend.memory()
        self._chosen: int | None = None

    @property
    def chosen(self) -> int | None:
        """The size in use; None before the first choice."""
        return self._chosen

    def choose(self, trial: Callable[[int], object]) -> int:
        """Return the bundle's size, or one that is clearly faster, or the fastest that memory allows.

        ``trial(n)`` runs one chunk of n copies; it is called at the first use on this device only.
        """
        if self._chosen is None:
            self._chosen = self._default if self._start is None else self._choose(trial, self._start)
        return self._chosen

    def _choose(self, trial: Callable[[int], object], start: Memory) -> int:
        rungs = {rung.chunk: rung for rung in self._within_memory(self._known(trial, start), start)}
        if not rungs:
            return self._default
        best = min(rungs.values(), key=lambda rung: rung.seconds)
        usual = rungs.get(self._default, best)
        return best.chunk if usual.seconds > GAIN * best.seconds else usual.chunk

    def _known(self, trial: Callable[[int], object], start: Memory) -> list[Rung]:
        """Return what is remembered, or measure and remember it; nothing where that cannot be done."""
        folder = cache_folder("chunks")
        if folder is None:
            return []
        path = folder / f"{self._key}.json"
        rungs = self._read(path)
        if rungs:
            return rungs
        try:
            make_folder(folder)
            check_writable(folder)
            measured = self._measure(trial, start)
            # Of two processes that measured at once, the first to write decides for both.
            if not self._read(path):
                write_atomic(path, [msgspec.json.encode(measured)])
        except OutputError:
            return []
        return self._read(path)

    def _measure(self, trial: Callable[[int], object], start: Memory) -> list[Rung]:
        """Climb the ladder while memory lasts, and beyond the bundle's size while it pays."""
        rungs: list[Rung] = []
        for chunk in self._sizes:
            if rungs:
                last, best = rungs[-1], min(rung.seconds for rung in rungs)
                room = SHARE * (self._backend.memory() or start).available
                too_large = last.memory * (chunk / last.chunk - 1) > room
                if too_large or (chunk > self._default and last.seconds > best):
                    break
            try:
                seconds = min(_seconds(trial, chunk) for _ in range(2)) / chunk
            except OutOfMemoryError:
                break
            growth = (self._backend.memory() or start).used - start.used
            rungs.append(Rung(chunk, seconds, max(0, growth)))
        return rungs

    def _within_memory(self, rungs: list[Rung], start: Memory) -> list[Rung]:
        """Leave out the sizes for which this machine has too little memory now."""
        memory = self._backend.memory() or start
        # What a trial in this process took is no longer available, and is ours.
        room = SHARE * (memory.available + memory.used - start.used)
        fitting = [rung for rung in rungs if rung.memory <= room] or rungs[:1]
        if fitting != rungs:
            _log.warning(
                "at most %d copies at a time, as only %d MB of memory are available",
                fitting[-1].chunk,
                memory.available // 2**20,
            )
        return fitting

    def _read(self, path: Path) -> list[Rung]:
        """Return the rungs in a file; none when it is missing, or not one of ours."""
        try:
            rungs = msgspec.json.decode(path.read_bytes(), type=list[Rung])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return []
        return rungs if all(rung.chunk in self._sizes for rung in rungs) else []


def _seconds(trial: Callable[[int], object], chunk: int) -> float:
    began = time.perf_counter()
    trial(chunk)
    return time.perf_counter() - began
