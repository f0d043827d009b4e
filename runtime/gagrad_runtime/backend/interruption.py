"""Ending a run from outside: Ctrl-C and SIGTERM reach a process that an engine keeps busy.

Python looks at signals between its own instructions, and a run is one instruction, however long it takes. So
a thread waits for the byte that Python's handler in C writes at once, gives the run a moment to end by
itself, and then ends it with what its engine offers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GRACE = 1.0
"""Seconds that a run has left after the signal: a usual one ends by itself, and nothing is lost."""
ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a run."""


class _Runs:
    """The runs of this process that are under way, and the thread that ends them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[int, Callable[[], object]] = {}
        self._ended: set[int] = set()
        self._number = 0
        self._pipe: tuple[socket.socket, socket.socket] | None = None

    def begin(self, end: Callable[[], object]) -> int:
        """Note a run that ``end`` ends, and return its number."""
        with self._lock:
            self._number += 1
            self._ends[self._number] = end
            return self._number

    def finish(self, number: int) -> bool:
        """Take the run out again; tell whether it was ended from outside."""
        with self._lock:
            del self._ends[number]
            ended = number in self._ended
            self._ended.discard(number)
            return ended

    def end(self, numbers: list[int]) -> None:
        """End those of the runs ``numbers`` that are still under way."""
        with self._lock:
            for number in numbers:
                if number in self._ends:
                    self._ended.add(number)
                    # An engine that cannot end a run leaves it to the system's SIGKILL.
                    with contextlib.suppress(Exception):
                        self._ends[number]()

    def under_way(self) -> list[int]:
        """Return the numbers of the runs."""
        with self._lock:
            return list(self._ends)

    def wakeup(self) -> int:
        """Return the descriptor that a signal's number is to be written to; the thread is started once."""
        if self._pipe is None:
            reading, writing = self._pipe = socket.socketpair()  # Windows takes nothing else
            writing.setblocking(False)
            threading.Thread(target=self._watch, args=(reading,), name="interruption", daemon=True).start()
        return self._pipe[1].fileno()

    def _watch(self, reading: socket.socket) -> None:
        while data := reading.recv(64):
            if not set(data) & set(ENDING):
                continue
            numbers = self.under_way()
            if numbers:
                threading.Event().wait(GRACE)
                self.end(numbers)


_runs = _Runs()


def _forget() -> None:
    """Start anew in a forked process, where the thread is not."""
    global _runs  # noqa: PLW0603 - one state for the process, as signals are
    _runs = _Runs()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextlib.contextmanager
def interruptible(end: Callable[[], object]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the run inside, which ``end``, called in another thread, ends.

    Raises KeyboardInterrupt, in place of the engine's error, where that happened. Runs of other threads are
    ended too, while the main thread is in a run.
    """
    runs = _runs
    number = runs.begin(end)
    before = _listen(runs)
    interrupted = False
    try:
        try:
            yield
        finally:
            # First, so that a handler that raises finds everything put back.
            if before is not None:
                signal.set_wakeup_fd(before, warn_on_full_buffer=False)
            interrupted = runs.finish(number)
    except Exception as error:
        if interrupted:
            raise KeyboardInterrupt from error
        raise
    if interrupted:
        raise KeyboardInterrupt


def _listen(runs: _Runs) -> int | None:
    """Have signals wake the thread; return the descriptor that they woke before, None where nothing changed.

    Only the main thread may set it, and a program's own (asyncio's) stays.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    try:
        before = signal.set_wakeup_fd(runs.wakeup(), warn_on_full_buffer=False)
    except (OSError, ValueError, AttributeError):  # a system where a pipe cannot be used for it
        return None
    if before not in (-1, runs.wakeup()):
        signal.set_wakeup_fd(before, warn_on_full_buffer=False)
        return None
    return before
