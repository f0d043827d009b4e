"""Webhook sink: each event is POSTed as JSON, and a 2xx response acknowledges it.

One request at a time needs no more than the standard library's client in a thread. Redirects are not
followed, and the environment's proxies are not used.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
from contextlib import asynccontextmanager
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
        status, reason = await asyncio.to_thread(self._post, f"{event.epoch}-{event.sequence}", body)
        if 200 <= status < 300:
            return
        answer = f"the answer was {status} {reason}"
        if 400 <= status < 500 and status not in _RETRIED:
            raise RefusedError(answer)
        raise UndeliveredError(answer)

    def _post(self, identity: str, body: bytes) -> tuple[int, str]:
        host, port, timeout = self._parts.hostname or "", self._parts.port, self.table.timeout
        if self._context is not None:
            client: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=timeout, context=self._context
            )
        else:
            client = http.client.HTTPConnection(host, port, timeout=timeout)
        headers = {
            "Content-Type": "application/json",
            # The same in a repetition.
            "Idempotency-Key": f"{self._key}-{identity}",
            **({"Authorization": f"Bearer {self._token}"} if self._token else {}),
        }
        path = self._parts.path or "/"
        path = quote(path + (f"?{self._parts.query}" if self._parts.query else ""), safe=_IN_PATH)
        try:
            client.request("POST", path, body, headers)
            answer = client.getresponse()
            answer.read(1 << 16)
            return answer.status, answer.reason
        except (OSError, http.client.HTTPException) as error:
            raise UndeliveredError(f"{host} cannot be reached ({error})") from error
        finally:
            client.close()
