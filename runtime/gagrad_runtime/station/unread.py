"""Files that the system does not let the station read at the moment, and when each is tried again."""

from __future__ import annotations

import errno
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gagrad_edge.errors import InputError
    from gagrad_runtime.station.sources.source import Arrival

PATIENCE = 60.0
"""Seconds for which a file is tried again."""
_PASSING = {
    *(errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN),
    *(errno.EBUSY, errno.ETXTBSY, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR, errno.ENOLCK),
}
"""Errors that may be over soon: permissions that are set late, a share or a system in trouble."""
_log = logging.getLogger(__name__)


@dataclass
class _File:
    arrival: Arrival
    since: float
    again: float
    """When it is tried next."""


class Unread:
    """The files, by name."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def __len__(self) -> int:
        return len(self._files)

    def due(self) -> list[Arrival]:
        """Return the files that are to be tried again now."""
        now = time.monotonic()
        return [file.arrival for file in self._files.values() if file.again <= now]

    def forget(self, arrival: Arrival) -> None:
        """Take ``arrival`` out, as it was read or given up."""
        self._files.pop(arrival.name, None)

    def keep(self, arrival: Arrival, error: InputError) -> bool:
        """Return whether ``arrival`` is tried again after ``error``, which reading it raised."""
        cause, now = error.__cause__, time.monotonic()
        file = self._files.setdefault(arrival.name, _File(arrival, now, now))
        # A decoder's OSError, of a damaged image, has no number.
        if not isinstance(cause, OSError) or cause.errno not in _PASSING or now - file.since >= PATIENCE:
            self.forget(arrival)
            return False
        if file.since == now:
            _log.warning("%s; it is tried again for %.0f s", error, PATIENCE)
        file.again = now + min(8.0, max(0.25, now - file.since))
        return True
