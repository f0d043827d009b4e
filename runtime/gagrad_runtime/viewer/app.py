"""The application: the receiver, the addresses of data, the pages, and the guard before all of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from litestar import Litestar, MediaType, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from gagrad_runtime.viewer import data_routes, login
from gagrad_runtime.viewer.database import BusyError, FullError
from gagrad_runtime.viewer.labels import LabelError
from gagrad_runtime.viewer.pages import routes
from gagrad_runtime.viewer.receiver import receive
from gagrad_runtime.web.guard import Guard

if TYPE_CHECKING:
    from gagrad_runtime.viewer.viewer import Viewer

LARGEST = 64 << 10
"""Bytes of the largest body, where a route allows no other."""
PUBLIC = ("/events", "/health", "/favicon.ico", "/static/", login.PATH)
"""What needs no session: the receiver has a token of its own, and the form of the login its style."""
_log = logging.getLogger(__name__)


def application(viewer: Viewer) -> Guard:
    """Return the ASGI application of ``viewer``, behind its guard."""
    app = Litestar(
        [receive, login.login, login.logout, *data_routes.HANDLERS, *routes.HANDLERS],
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


def failed(
    request: Request[Any, Any, Any], status: int, text: str, headers: dict[str, str] | None = None
) -> Response[Any]:
    """Return that something went wrong: a page for people, a line for programs."""
    if "text/html" in request.headers.get("accept", ""):
        response: Response[Any] = routes.failed(request, status, text)
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
