"""The application: the receiver, the addresses of data, the pages, and the guard before all of them."""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING, Any

from litestar import Litestar, MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from gagrad_runtime.viewer import data_routes, login
from gagrad_runtime.viewer.database import BusyError, FullError
from gagrad_runtime.viewer.labels import LabelError
from gagrad_runtime.viewer.receiver import receive
from gagrad_runtime.web.guard import Guard

if TYPE_CHECKING:
    from gagrad_runtime.viewer.viewer import Viewer

LARGEST = 64 << 10
"""Bytes of the largest body, where a route allows no other."""
PUBLIC = ("/events", "/health", "/favicon.ico", "/static/", login.PATH)
"""What needs no session: the receiver has a token of its own, and the form of the login its style."""
_PAGES = "gagrad_runtime.viewer.pages.routes"
"""Module of the pages: ``HANDLERS``, and ``failed(request, status, text)``: a page about what is wrong."""
_log = logging.getLogger(__name__)


def application(viewer: Viewer) -> Guard:
    """Return the ASGI application of ``viewer``, behind its guard."""
    pages = _pages()
    handlers = list(pages.HANDLERS) if pages is not None else [_no_pages]
    taken = {one for handler in handlers for one in getattr(handler, "paths", ())}
    if login.PATH not in taken:
        handlers.append(login.plain_page)
    app = Litestar(
        [receive, login.login, login.logout, *data_routes.HANDLERS, *handlers],
        request_max_body_size=LARGEST,
        openapi_config=None,
        logging_config=None,
        state=State({"viewer": viewer}),
        exception_handlers={
            HTTPException: _http,
            BusyError: _busy,
            FullError: _full,
            LabelError: _label,
            Exception: _defect,
        },
    )
    return Guard(app, viewer.rules)


def _pages() -> Any:
    try:
        found = importlib.util.find_spec(_PAGES)
    except ModuleNotFoundError:
        found = None
    return None if found is None else importlib.import_module(_PAGES)


@get("/", media_type=MediaType.TEXT, include_in_schema=False)
async def _no_pages() -> str:
    return "The viewer receives events at /events. Its pages are not installed.\n"


def failed(
    request: Request[Any, Any, Any], status: int, text: str, headers: dict[str, str] | None = None
) -> Response[Any]:
    """Return that something went wrong: a page for people, a line for programs."""
    pages = _pages()
    if pages is not None and "text/html" in request.headers.get("accept", "") and hasattr(pages, "failed"):
        response: Response[Any] = pages.failed(request, status, text)
        response.headers.update(headers or {})
        return response
    return Response(f"{text}\n", status_code=status, media_type=MediaType.TEXT, headers=headers)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    return failed(request, error.status_code, error.detail, {**(error.headers or {})})


def _busy(request: Request[Any, Any, Any], _: BusyError) -> Response[Any]:
    return failed(request, 503, "too much waits to be stored", {"retry-after": "1"})


def _full(request: Request[Any, Any, Any], _: FullError) -> Response[Any]:
    return failed(request, 507, "nothing can be stored: the disk is full, or read-only")


def _label(request: Request[Any, Any, Any], error: LabelError) -> Response[Any]:
    return failed(request, 400, str(error))


def _defect(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("a request could not be answered", exc_info=error)
    return failed(request, 500, "the viewer has a defect here; its log says more")
