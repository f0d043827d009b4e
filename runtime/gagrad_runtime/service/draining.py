"""Draining: reads on what a client still sends when its answer is already there.

An answer may come before the request's body: a refusal, mostly. A server that then leaves the body unread
closes the connection, and the system resets it, which takes the answer from the client as well. So the rest
of the body is read and dropped, after the answer, within limits.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gagrad_runtime.web.guard import Message, Receive, Scope, Send

_DIGITS = 12
SECONDS = 5.0
"""Longest time for the rest of a body."""


def drained(app: Any, limit: int) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the ASGI application ``app``, which may answer before a body is read; it has ``limit`` bytes."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not 0 < _announced(scope) <= limit:
            await app(scope, receive, send)
            return
        body = _Body(receive)
        await app(scope, body.receive, send)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(body.drop(limit), SECONDS)

    return answer


class _Body:
    """The parts of a body, and whether the last one has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False
        self._size = 0

    async def receive(self) -> Message:
        """Return the next message of the server."""
        try:
            message = await self._receive()
        except BaseException:  # a receive that was given up may have taken a part with it
            self._ended = True
            raise
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        self._size += len(message.get("body", b""))
        return message

    async def drop(self, limit: int) -> None:
        """Read to the end of the body, or until it has more than ``limit`` bytes."""
        while not self._ended and self._size <= limit:
            await self.receive()


def _announced(scope: Scope) -> int:
    """Return the bytes of the body as the head has them; 1 where it only says that there are some."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"1" if b"transfer-encoding" in headers else b"0")
    return int(length) if length.isdigit() and len(length) <= _DIGITS else 0
