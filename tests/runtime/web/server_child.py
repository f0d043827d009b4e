"""A small application in the server, as a process: prints its address; argument: port."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Request, get, post
from litestar.response import Stream

from gagrad_edge.errors import GagradError
from gagrad_runtime.web.guard import Guard, Rules
from gagrad_runtime.web.server import serve


@get("/")
async def page() -> str:
    """Answer at once."""
    return "here"


@get("/stream")
async def stream() -> Stream:
    """Answer without end."""

    async def pieces() -> AsyncIterator[str]:
        while True:
            yield "data: x\n\n"
            await asyncio.sleep(0.1)

    return Stream(pieces(), media_type="text/event-stream")


@post("/take")
async def take(request: Request[Any, Any, Any]) -> str:
    """Read the body."""
    return str(len(await request.body()))


if __name__ == "__main__":
    app = Litestar([page, stream, take], request_max_body_size=1000, logging_config=None, openapi_config=None)
    try:
        serve(
            Guard(app, Rules("127.0.0.1")),
            "127.0.0.1",
            int(sys.argv[1]),
            connections=64,
            ready=lambda address: sys.stdout.write(f"{address}\n") and sys.stdout.flush(),
        )
    except GagradError as error:
        sys.exit(str(error))
