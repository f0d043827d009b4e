"""SIGINT and SIGTERM: the station ends after the step under way, and in a few seconds in any case."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 4.5
"""Time from the signal to the end of the process."""
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def ended_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block call ``stop`` at SIGINT and SIGTERM; if the process still runs SECONDS later, end it.

    That is as safe as a power cut: whatever was told is stored. Python calls a signal's handler between two
    of its own steps only, so not while an engine compiles or a file is decoded. So the system's own handler
    wakes a thread, through a socket. Once a signal has come nothing undoes it, as the end of Python also
    waits for threads that wait for a peer. Only in the main thread.
    """
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    threading.Thread(target=_end, args=(woken, numbers), name="ending", daemon=True).start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(earlier)
        wakes.close()


def _end(woken: socket.socket, numbers: tuple[Any, ...]) -> None:
    """End the process SECONDS after one of the signals ``numbers``; return when the other end is closed."""
    with woken:
        while data := woken.recv(64):
            if any(number in data for number in numbers):
                break
        else:
            return
    time.sleep(SECONDS)
    _log.warning("the step under way did not end within %.1f s of the signal; it is not waited for", SECONDS)
    os._exit(0)
