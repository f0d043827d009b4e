"""Who may ask: checked once at the start, then for every request.

On a loopback address everybody at this device may see and label, without a password. At any other address
the server starts only with TLS and with a secret: passwords for people, a token for programs. Cookies carry
the number of a session and nothing else; no secret is ever part of an address.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gagrad_edge.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.web.server import Tls

Role = Literal["see", "label"]
"""``see`` looks; ``label`` looks and gives labels."""
ROLES: tuple[Role, ...] = ("see", "label")
LOCAL = "local"
"""Name of whoever asks on a loopback address without passwords."""


@dataclass(frozen=True)
class Person:
    """Who asks."""

    name: str
    role: Role

    @property
    def may_label(self) -> bool:
        """Whether the person may give labels."""
        return self.role == "label"


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is this device alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(host: str, *, tls: Tls | None, secret: bool, what: str) -> None:
    """Raise SettingError when ``host`` is open to others without TLS or without a secret.

    ``secret`` says whether there is one; ``what`` names it with its parameter, such as "a password file
    (`password_file`)".
    """
    if is_loopback(host):
        return
    missing = [
        *([] if tls is not None else ["TLS (`certificate` and `key`)"]),
        *([] if secret else [what]),
    ]
    if missing:
        raise SettingError(
            f"{host} can be reached by other devices, and {' and '.join(missing)} is missing",
            where="host",
            hint="give what is missing, or leave `host` out: then only this device is answered",
        )


def read_token(path: Path) -> str:
    """Return the token in the file at ``path``. Raises SettingError, without the token."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"the token cannot be read ({error})", where=str(path)) from error
    if len(token) < 16 or not token.isprintable() or " " in token:
        raise SettingError(
            "the token has fewer than 16 characters, spaces, or several lines",
            where=str(path),
            hint="make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return token


def has_token(authorization: bytes | str | None, token: str) -> bool:
    """Return whether the header ``Authorization`` has ``token``, in a time that tells nothing of it."""
    if authorization is None:
        return False
    text = authorization if isinstance(authorization, bytes) else authorization.encode("latin-1", "replace")
    kind, _, given = text.partition(b" ")
    return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode())
