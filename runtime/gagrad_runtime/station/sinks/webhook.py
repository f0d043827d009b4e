"""Webhook sink: each event is POSTed as JSON, and a 2xx response acknowledges it.

A request has a connection of its own and ``timeout`` seconds for all of it, whatever the receiver sends
meanwhile. It needs no thread, for which the end of the program would wait. Redirects are not followed, and
the environment's proxies are not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from gagrad_edge.errors import SettingError
from gagrad_runtime.station.config import secret
from gagrad_runtime.station.sinks.sink import RefusedError, UndeliveredError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gagrad_runtime.station.config import WebhookTable
    from gagrad_runtime.station.events import StationEvent

_RETRIED = {401, 403, 404, 407, 408, 409, 423, 425, 429}
"""Status codes 4xx that are retried, because they may be temporary: a token is renewed, a service starts."""


_LARGEST = 1 << 16
"""Bytes of the longest line of an answer."""
_IN_PATH = "/?%!$&'()*+,;=:@~"
"""What stays as it is in the path and the query of an address."""


def _header(token: str | None) -> str | None:
    """Return ``token`` if an HTTP header can hold it. Raises SettingError, without the token."""
    if token is not None and not (token.isascii() and token.isprintable()):
        raise SettingError(
            "the token has characters that an HTTP header cannot hold: line breaks, or letters beyond ASCII",
            where="[webhook] token",
            hint="look at the file or the variable: a token is one line",
        )
    return token


class Webhook:
    """The receiver at ``table.url``. Raises SettingError when a secret or certificate is missing."""

    name = "webhook"

    def __init__(self, table: WebhookTable, station: str) -> None:
        self.table = table
        self._parts = urlsplit(table.url)
        self._token = _header(secret(table.token_file, table.token_env, what="[webhook]"))
        self._key = quote(station, safe="")
        self._context: ssl.SSLContext | None = None
        if self._parts.scheme == "https":
            try:
                self._context = ssl.create_default_context(cafile=table.ca)
            except OSError as error:
                what = f"the certificates cannot be read ({error})"
                raise SettingError(what, where="[webhook] ca") from error

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Webhook]:
        """Open nothing: each request has a connection of its own."""
        yield self

    async def send(self, event: StationEvent, body: bytes) -> None:
        """POST ``body``. Raises UndeliveredError and RefusedError."""
        host, seconds = self._parts.hostname or "", self.table.timeout
        try:
            head = self._head(f"{self._key}-{event.epoch}-{event.sequence}", len(body))
            status, reason = await asyncio.wait_for(self._post(host, head + body), seconds)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise UndeliveredError(f"{host} gave no answer within {seconds:g} s") from error
        except (OSError, EOFError, ValueError) as error:
            raise UndeliveredError(f"{host} cannot be reached ({error})") from error
        if 200 <= status < 300:
            return
        answer = f"the answer was {status} {reason}"
        if 400 <= status < 500 and status not in _RETRIED:
            raise RefusedError(answer)
        raise UndeliveredError(answer)

    def _head(self, key: str, length: int) -> bytes:
        """Return what comes before the body. ``key`` is the same in a repetition."""
        path = self._parts.path or "/"
        path = quote(path + (f"?{self._parts.query}" if self._parts.query else ""), safe=_IN_PATH)
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {self._parts.netloc.encode('idna').decode() if self._parts.netloc else ''}",
            "Connection: close",
            "Content-Type: application/json",
            f"Content-Length: {length}",
            f"Idempotency-Key: {key}",
            # By which a receiver knows how far this device's clock is ahead of its own.
            f"Date: {formatdate(usegmt=True)}",
            *([f"Authorization: Bearer {self._token}"] if self._token else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    async def _post(self, host: str, request: bytes) -> tuple[int, str]:
        """Send ``request``; return status and reason. Raises OSError, EOFError and ValueError."""
        port = self._parts.port or (80 if self._context is None else 443)
        reader, writer = await asyncio.open_connection(host, port, ssl=self._context, limit=_LARGEST)
        try:
            writer.write(request)
            await writer.drain()
            status, length = 100, 0
            while status < 200:  # a server may say first that it goes on
                version, _, line = (await reader.readuntil(b"\n")).decode("latin-1").strip().partition(" ")
                if not version.startswith("HTTP/") or not line[:3].isdecimal():
                    raise ValueError("that is no HTTP server")
                status, reason = int(line[:3]), line[4:]
                while field := (await reader.readuntil(b"\n")).strip().lower():
                    name, _, value = field.partition(b":")
                    length = int(value) if name == b"content-length" else length
            # The answer is known. A short rest is read so that the server can send it, and not waited for.
            with contextlib.suppress(OSError, EOFError, asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(reader.readexactly(max(0, min(length, _LARGEST))), 0.5)
            return status, reason
        finally:
            writer.transport.abort()
