"""Sessions of people who gave their password: in memory, so that a restart ends them all."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gagrad_runtime.web.access import Person

IDLE = 8 * 3600.0
"""Seconds without a request after which a session ends: a shift."""
LONGEST = 24 * 3600.0
"""Seconds after which it ends in any case."""
MOST = 1000
"""Most sessions at a time; the oldest ends."""
FAILURES = 10
"""Wrong passwords from one address in WINDOW seconds after which the next is not checked."""
WINDOW = 60.0


@dataclass
class _Session:
    person: Person
    began: float
    seen: float


class Sessions:
    """The open sessions, by the hash of their number: the number itself is in the browser alone."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Session] = {}
        self._failures: dict[str, list[float]] = {}

    def begin(self, person: Person) -> str:
        """Return the number of a new session of ``person``, for a cookie."""
        number = secrets.token_urlsafe(32)
        now = time.monotonic()
        self._drop(now)
        while len(self._open) >= MOST:
            self._open.pop(next(iter(self._open)))
        self._open[_key(number)] = _Session(person, now, now)
        return number

    def person(self, number: str) -> Person | None:
        """Return whose session ``number`` is; None for one that has ended or never was."""
        now = time.monotonic()
        found = self._open.get(_key(number))
        if found is None:
            return None
        if _ended(found, now):
            del self._open[_key(number)]
            return None
        found.seen = now
        return found.person

    def end(self, number: str) -> None:
        """End the session."""
        self._open.pop(_key(number), None)

    def wait(self, client: str) -> float:
        """Return the seconds that ``client`` has to wait before a password is checked; 0 for none."""
        recent = [when for when in self._failures.get(client, []) if time.monotonic() - when < WINDOW]
        return 0.0 if len(recent) < FAILURES else WINDOW - (time.monotonic() - recent[0])

    def failed(self, client: str) -> None:
        """Count a wrong password from ``client``."""
        now = time.monotonic()
        if len(self._failures) > MOST:
            self._failures = {name: when for name, when in self._failures.items() if now - when[-1] < WINDOW}
        recent = [when for when in self._failures.get(client, []) if now - when < WINDOW]
        self._failures[client] = [*recent, now][-FAILURES:]

    def _drop(self, now: float) -> None:
        for key in [key for key, one in self._open.items() if _ended(one, now)]:
            del self._open[key]


def _ended(session: _Session, now: float) -> bool:
    return now - session.seen > IDLE or now - session.began > LONGEST


def _key(number: str) -> bytes:
    return hashlib.sha256(number.encode("utf-8", "surrogatepass")).digest()
