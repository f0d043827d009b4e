"""The receiver: ``POST /events`` takes what the webhook sink of a station sends.

The answer comes after the commit that holds the event: 204, also for one that is there already. 400 says that
the message is no event and never will be; 401, 503 and 507 that it is to be sent again, as the station does
by itself. A station that waits for an answer waits in its delivery thread and delays no verdict.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from typing import TYPE_CHECKING, Any

from litestar import Request, Response, post

from gagrad_runtime.viewer.database import BusyError, FullError
from gagrad_runtime.viewer.likeness import looks_of
from gagrad_runtime.viewer.pictures import decode
from gagrad_runtime.viewer.received import EventError, read
from gagrad_runtime.viewer.storing import Arrived, Stored, store
from gagrad_runtime.web.access import has_token

if TYPE_CHECKING:
    import sqlite3

    from gagrad_runtime.viewer.received import Received
    from gagrad_runtime.viewer.viewer import Viewer

LARGEST = 32 << 20
"""Bytes of the largest message: an explanation with its pictures has some 100 kB."""
SECONDS = 20.0
"""Longest time for a message to come in."""
_LARGE = 64 << 10
"""Bytes from which a message counts as large: of those few are read at a time, so that memory is bounded."""
_MOST_LARGE = 4
_large = asyncio.Semaphore(_MOST_LARGE)
_plain = asyncio.Semaphore(256)


@post("/events", request_max_body_size=LARGEST, status_code=204, include_in_schema=False)
async def receive(request: Request[Any, Any, Any]) -> Response[None]:
    """Take one event."""
    viewer: Viewer = request.app.state.viewer
    if viewer.token is not None and not has_token(request.headers.get("authorization"), viewer.token):
        return _said(401, "the token is missing or wrong")
    async with _large if _length(request) > _LARGE else _plain:
        try:
            body = await asyncio.wait_for(request.body(), SECONDS)
        except (asyncio.TimeoutError, TimeoutError):
            return _said(408, "the message did not come in time")
        at = time.time()
        try:
            event, when = read(body)
            arrived = await _arrived(event, when, at, request.headers.get("date"))
            del body
            stored = await _store(viewer, event, arrived)
        except EventError as error:
            return _said(400, str(error))
        except BusyError:
            return _said(503, "too much waits to be stored", {"retry-after": "1"})
        except FullError:
            return _said(507, "nothing can be stored: the disk is full, or read-only")
    if stored is not None:
        viewer.changes.publish(stored)
    return Response(None, status_code=204)


async def _arrived(event: Received, when: int, at: float, date: str | None) -> Arrived:
    """Return what came with the event; pictures are looked at in a thread."""
    pictures, looks = {}, None
    if event.picture_png or event.frame_jpeg or event.map_png:
        pictures = await asyncio.to_thread(decode, event)
        if "frame" in pictures:
            looks = await asyncio.to_thread(looks_of, pictures["frame"])
    return Arrived(when, at, _skew(date, at), pictures, looks)


async def _store(viewer: Viewer, event: Received, arrived: Arrived) -> Stored | None:
    def job(connection: sqlite3.Connection) -> Stored | None:
        return store(connection, viewer.database.folder, event, arrived)

    return await asyncio.wrap_future(viewer.database.write(job))


def _skew(date: str | None, at: float) -> float | None:
    """Return how far the clock of the sender, in its header ``Date``, is ahead; None without one."""
    try:
        return None if date is None else round(email.utils.parsedate_to_datetime(date).timestamp() - at, 1)
    except (ValueError, OverflowError, TypeError):
        return None


def _length(request: Request[Any, Any, Any]) -> int:
    """Return the bytes of the message; of one that does not say so, that it is large."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() and len(text) < 20 else LARGEST


def _said(status: int, text: str, headers: dict[str, str] | None = None) -> Response[Any]:
    return Response(f"{text}\n", status_code=status, media_type="text/plain", headers=headers)
