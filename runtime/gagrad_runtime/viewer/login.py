"""Login and logout: a password becomes a session, and the session ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from litestar import Request, Response, post

from gagrad_runtime.web.guard import session_number

if TYPE_CHECKING:
    from gagrad_runtime.viewer.viewer import Viewer

PATH = "/login"
LARGEST = 8 << 10
"""Bytes of the largest form."""


@post(PATH, request_max_body_size=LARGEST, include_in_schema=False)
async def login(request: Request[Any, Any, Any]) -> Response[None]:
    """Take name and password; begin a session, or say what is wrong."""
    viewer: Viewer = request.app.state.viewer
    if viewer.passwords is None:
        return _to("/")
    client = request.client.host if request.client else ""
    sessions = viewer.rules.sessions
    if sessions.wait(client):
        return _to(f"{PATH}?trouble=often")
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), max_num_fields=10))
    name, password = form.get("name", ""), form.get("password", "")
    person = await asyncio.to_thread(viewer.passwords.check, name, password)
    if person is None:
        sessions.failed(client)
        return _to(f"{PATH}?trouble=wrong")
    return _to("/", viewer.rules.set_cookie(sessions.begin(person)))


@post("/logout", status_code=303, request_max_body_size=LARGEST, include_in_schema=False)
async def logout(request: Request[Any, Any, Any]) -> Response[None]:
    """End the session."""
    viewer: Viewer = request.app.state.viewer
    number = session_number(request.headers.get("cookie", ""), viewer.rules)
    if number is not None:
        viewer.rules.sessions.end(number)
    return _to(PATH if viewer.passwords is not None else "/", viewer.rules.set_cookie(""))


def _to(where: str, cookie: str | None = None) -> Response[None]:
    """Return that the browser goes to ``where``."""
    headers = {"location": where, **({} if cookie is None else {"set-cookie": cookie})}
    return Response(None, status_code=303, headers=headers)
