"""The application behind the guard, with what the guard refuses in the protocol's form too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_runtime.service.protocol import Failure
from gagrad_runtime.web.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gagrad_runtime.web.guard import Message, Receive, Rules, Scope, Send


def guarded(app: Any, rules: Rules) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the ASGI application ``app`` behind ``rules``."""
    guard = Guard(app, rules)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await guard(scope, receive, _in_json(send) if scope["type"] == "http" else send)

    return answer


def _in_json(send: Send) -> Send:
    """Return what sends refusals in plain text, which are the guard's, as the protocol's messages."""
    held: list[Message] = []

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            kind = dict(message["headers"]).get(b"content-type", b"")
            if kind.startswith(b"text/plain"):
                held.append(message)
                return
        if held:
            head = held.pop()
            body = msgspec.json.encode(Failure(error=message.get("body", b"").decode().strip()))
            more = {b"content-type": b"application/json", b"content-length": str(len(body)).encode()}
            await send({**head, "headers": list({**dict(head["headers"]), **more}.items())})
            message = {**message, "body": body}
        await send(message)

    return sending
