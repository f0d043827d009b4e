"""Writes of a station's results: a full disk stops no verdict; what it refused is written later, in order."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from gagrad_edge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
MOST = 10_000
"""Most writes that are kept for later."""
RETRY = 1.0
"""Seconds between attempts where nothing new is to be written."""
_log = logging.getLogger(__name__)


class Writes:
    """The writes of one station."""

    def __init__(self) -> None:
        self.degraded = False
        """Whether something is not stored at the moment."""
        self._late: deque[tuple[Callable[[], Any], Callable[[Any], object]]] = deque()
        """Each with what follows once it is written."""
        self._failed = float("-inf")
        self._files_failed = False
        """Whether the files of the last explanation could not be written, though rows may be."""

    def attempt(self, write: Callable[[], T]) -> T | None:
        """Return what ``write`` returns, or None when it fails: it is not tried again."""
        try:
            return write()
        except OutputError as error:
            self.fail(error)
            return None

    def in_order(
        self, write: Callable[[], T], late: Callable[[T], object] = lambda _: None
    ) -> tuple[bool, T | None]:
        """Write behind all that is late; return whether it is written, and what ``write`` returned.

        What cannot be written now is kept, and ``late`` is called with its result once it is written.
        """
        if self.retry(now=True):
            try:
                result = write()
            except OutputError as error:
                self.fail(error)
            else:
                self._recovered()
                return True, result
        if len(self._late) >= MOST:
            self._late.popleft()
            _log.error("more than %d results could not be stored; the oldest is given up", MOST)
        self._late.append((write, late))
        return False, None

    def retry(self, *, now: bool = False) -> bool:
        """Write what is late, ``now`` or a while after the last attempt; return whether nothing is left."""
        if not self._late:
            return True
        if not now and time.monotonic() - self._failed < RETRY:
            return False
        try:
            while self._late:
                write, late = self._late[0]
                result = write()
                self._late.popleft()
                late(result)
        except OutputError as error:
            self.fail(error)
            return False
        self._recovered()
        return True

    def kept(self, error: OutputError | None) -> None:
        """Take note that the files of an explanation are written, or why they are not."""
        self._files_failed = error is not None
        if error is not None:
            self.fail(error)
        elif self.retry(now=True):
            self._recovered()

    def fail(self, error: OutputError) -> None:
        """Take note of a failure; the first one is logged."""
        self._failed = time.monotonic()
        if not self.degraded:
            _log.warning("results are not stored until this is fixed: %s", error)
        self.degraded = True

    def close(self) -> None:
        """Write what is late if that can be done, log how much is not, and give it up."""
        if not self.retry(now=True):
            _log.error("%d results are not stored; images without a row are new again", len(self._late))
            self._late.clear()

    def _recovered(self) -> None:
        if self.degraded and not self._files_failed:
            self.degraded = False
            _log.warning("results are stored again")
