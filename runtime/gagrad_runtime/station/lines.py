"""The lines of ``--json``: written by a thread, so that a reader who stands still stops no verdict."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WAITING, CHARACTERS = 10_000, 32 << 20
"""Most lines that wait for the reader, and most characters in them; beyond it new ones are left out and
counted."""
_log = logging.getLogger(__name__)


class Lines:
    """Calls ``write`` with each line, in order. As a context manager it waits for the last one at its end.

    Whatever ``write`` raises is raised by the next ``put``, or at the end.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING)
        self._came = self._written = 0
        """Characters that were put, and that were written. Each is changed by one thread."""
        self._error: BaseException | None = None
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Let ``line`` be written."""
        self._raise()
        try:
            if self._came - self._written + len(line) > CHARACTERS:
                raise queue.Full
            self._lines.put_nowait(line)
            self._came += len(line)
        except queue.Full:
            if not self._left_out:
                _log.warning(
                    "the reader of the lines stands still; events are left out there until it reads on"
                )
            self._left_out += 1
            return
        if self._left_out:
            _log.warning("the lines are read again; %d events were left out", self._left_out)
            self._left_out = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # An error of the station is said, whether or not somebody reads its lines.
        longest = None if kind is None else 1.0
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=longest)
        self._thread.join(longest)
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._written += len(line)
            if self._error is not None:
                continue
            try:
                self._write(line)
            except Exception as error:  # noqa: BLE001 - raised where the lines come from
                self._error = error
