"""The guard before an application: who asks, from where, and what a browser may do with the answer.

It stands in front of every route, so that no route can be forgotten. It refuses, in this order: a ``Host``
that is not this server (a name of somebody else's that was made to point here), a change that a page of
another origin asks for, and whoever has neither session nor token. A head beyond ``HEAD_BYTES`` comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gagrad_runtime.web.access import LOCAL, Person, has_token, is_loopback
from gagrad_runtime.web.server import HEAD_BYTES
from gagrad_runtime.web.sessions import LONGEST, Sessions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every answer."""
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not no-referrer: browsers then send "Origin: null" with a form of our own.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
"""Headers of every answer; ``cache-control: no-store`` too, where the route says nothing else."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


@dataclass(frozen=True)
class Rules:
    """What the guard holds an application to."""

    host: str
    """The address that the server listens at."""
    tls: bool = False
    passwords: bool = False
    """Whether people need a session; without, everybody is ``local`` and may label."""
    token: str | None = None
    """Token with which programs may ask for everything, with or without ``passwords``."""
    names: frozenset[str] = frozenset()
    """Further names of this server, such as that of a proxy on this device."""
    public: tuple[str, ...] = ()
    """Beginnings of paths that need no session: the login, its style, what has a token of its own."""
    login: str | None = None
    """Path of the page that asks for the password; None: the answer to strangers is 401."""
    sessions: Sessions = field(default_factory=Sessions)

    @property
    def cookie(self) -> str:
        """Name of the session's cookie; the prefix binds it to this very server."""
        return "__Host-session" if self.tls else "session"

    def set_cookie(self, number: str) -> str:
        """Return the value of ``Set-Cookie`` that begins a session; with an empty ``number`` ends it."""
        age = int(LONGEST) if number else 0
        secure = "; Secure" if self.tls else ""
        return f"{self.cookie}={number}; Max-Age={age}; Path=/; HttpOnly; SameSite=Strict{secure}"


class Guard:
    """The application ``app`` behind ``rules``. A route finds who asks in ``scope["state"]["person"]``."""

    def __init__(self, app: Any, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let the application answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in reversed(scope["headers"])}
        refused = self._refused(scope, headers)
        if refused is None:
            await self._app(scope, receive, _with_headers(send))
        else:
            status, text, more = refused
            await _answer(_with_headers(send), status, text, more)

    def _refused(
        self, scope: Scope, headers: Mapping[bytes, bytes]
    ) -> tuple[int, str, list[tuple[bytes, bytes]]] | None:
        """Return status, text and headers for a request that is not let through; None for one that is."""
        if _head_bytes(scope) > HEAD_BYTES:
            return 431, "The head of the request is too large.\n", []
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._is_ours(host):
            return 403, "This server does not answer to that name.\n", []
        if scope["method"] not in SAFE and not self._is_own_page(host, headers):
            return 403, "Another site asked for this change: it was not made.\n", []
        person = self._person(headers)
        scope.setdefault("state", {})["person"] = person
        if person is not None or self._is_public(scope["path"]):
            return None
        if self._rules.login and scope["method"] in SAFE and b"text/html" in headers.get(b"accept", b""):
            return 303, "", [(b"location", self._rules.login.encode())]
        return 401, "A password or a token is needed.\n", [(b"www-authenticate", b"Bearer")]

    def _is_ours(self, host: str) -> bool:
        name = _name_of(host)
        if not is_loopback(self._rules.host):
            return bool(name)  # whoever asks needs a password there
        return name in self._rules.names or is_loopback(name)

    def _is_own_page(self, host: str, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether a change is asked for by a page of this server, or by no browser at all."""
        origin = headers.get(b"origin")
        if origin is not None:
            scheme, _, named = origin.decode("latin-1").lower().partition("://")
            # A proxy on this device may have TLS where this server has none.
            return named == host and (scheme == "https" or not self._rules.tls)
        return headers.get(b"sec-fetch-site", b"none") in (b"same-origin", b"none")

    def _person(self, headers: Mapping[bytes, bytes]) -> Person | None:
        rules = self._rules
        if rules.token is not None and has_token(headers.get(b"authorization"), rules.token):
            return Person("token", "label")
        if not rules.passwords:
            return None if rules.token is not None else Person(LOCAL, "label")
        number = _cookie(headers.get(b"cookie", b"").decode("latin-1"), rules.cookie)
        return None if number is None else rules.sessions.person(number)

    def _is_public(self, path: str) -> bool:
        return any(path == one or (one.endswith("/") and path.startswith(one)) for one in self._rules.public)


def session_number(cookies: str, rules: Rules) -> str | None:
    """Return the number of the session in the header ``Cookie``."""
    return _cookie(cookies, rules.cookie)


def _head_bytes(scope: Scope) -> int:
    line = len(scope["path"]) + len(scope.get("query_string", b""))
    return line + sum(len(name) + len(value) + 4 for name, value in scope["headers"])


def _name_of(host: str) -> str:
    """Return the name in a ``Host`` header, without port and brackets."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name if not rest or rest.startswith(":") else ""
    return host.partition(":")[0]


def _cookie(cookies: str, name: str) -> str | None:
    for one in cookies.split(";"):
        key, _, value = one.strip().partition("=")
        if key == name:
            return value
    return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = [(name.lower(), value) for name, value in message.get("headers", [])]
            names = {name for name, _ in given}
            added = [pair for pair in HEADERS if pair[0] not in names]
            if b"cache-control" not in names:
                added.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*given, *added]}
        await send(message)

    return sending


async def _answer(send: Send, status: int, text: str, more: list[tuple[bytes, bytes]]) -> None:
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
