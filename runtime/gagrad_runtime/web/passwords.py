"""The password file: one person a line, ``NAME:ROLE:scrypt:N:R:P:SALT:HASH``.

The costs are those that OWASP gives for scrypt with 16 MB of memory. One password is checked at a time, so
that guessing takes neither the memory nor the processor of a device whose work is something else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_edge.errors import SettingError
from gagrad_runtime.web.access import ROLES, Person

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.web.access import Role

SHORTEST = 8
"""Fewest characters of a password."""
LONGEST = 1024
"""Most bytes of a password that is checked at all."""
_COST = (1 << 14, 8, 5)
"""N, r and p of scrypt."""
_MOST_MEMORY = 64 << 20
_NAME = re.compile(r"[^\s:]{1,64}")


@dataclass(frozen=True)
class _Hash:
    cost: tuple[int, int, int]
    salt: bytes
    digest: bytes

    def fits(self, password: bytes) -> bool:
        return hmac.compare_digest(_scrypt(password, self.salt, self.cost), self.digest)


_NOBODY = _Hash(_COST, b"\0" * 16, b"\0" * 32)
"""What is checked for a name that does not exist, so that the time does not tell which exist."""


class Passwords:
    """The people of the password file at ``path``. Raises SettingError, with the line."""

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"the password file cannot be read ({error})", where=str(path)) from error
        self._people: dict[str, tuple[Person, _Hash]] = {}
        self._one_at_a_time = threading.Lock()
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            person, digest = _read_line(line, f"{path}:{number}")
            self._people[person.name] = (person, digest)
        if not self._people:
            raise SettingError("the password file names nobody", where=str(path))

    def check(self, name: str, password: str) -> Person | None:
        """Return who has this name and password; None for a wrong one. Takes about 0.2 s."""
        data = password.encode("utf-8", "surrogatepass")
        if len(data) > LONGEST:
            return None
        person, digest = self._people.get(name, (None, _NOBODY))
        with self._one_at_a_time:
            return person if digest.fits(data) else None


def password_line(name: str, role: Role, password: str) -> str:
    """Return the line of the password file for a person. Raises SettingError."""
    if not _NAME.fullmatch(name):
        raise SettingError("a name has up to 64 characters, no spaces and no colons", where="name")
    if len(password) < SHORTEST or len(password.encode()) > LONGEST:
        raise SettingError(f"a password has at least {SHORTEST} characters", where="password")
    salt = secrets.token_bytes(16)
    digest = _scrypt(password.encode(), salt, _COST)
    fields = [*map(str, _COST), base64.b64encode(salt).decode(), base64.b64encode(digest).decode()]
    return ":".join([name, role, "scrypt", *fields])


def _read_line(line: str, where: str) -> tuple[Person, _Hash]:
    hint = "`gagrad-edge viewer --add NAME --password-file FILE` writes such a line"
    try:
        name, role, kind, n, r, p, salt, digest = line.strip().split(":")
        cost = (int(n), int(r), int(p))
        if kind != "scrypt" or role not in ROLES or not _NAME.fullmatch(name):
            raise ValueError("it is no line of a password file")
        # What is given is run once, so that a cost beyond this device's memory is found at the start.
        found = _Hash(cost, base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True))
        if len(found.salt) < 8 or len(found.digest) != 32 or not 1 <= cost[2] <= 64:
            raise ValueError("its salt or hash has another length")
        if 128 * cost[0] * cost[1] > _MOST_MEMORY // 2 or cost[0] < 2 or cost[0] & (cost[0] - 1):
            raise ValueError("its cost is beyond what is taken here")
    except (ValueError, binascii.Error) as error:
        raise SettingError(f"a line cannot be used ({error})", where=where, hint=hint) from error
    return Person(name, "label" if role == "label" else "see"), found


def _scrypt(password: bytes, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=32)
