"""Login and logout: a password becomes a session, and the session ends."""

from __future__ import annotations

import asyncio
import html
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from litestar import Request, Response, get, post

from gagrad_runtime.web.guard import session_number

if TYPE_CHECKING:
    from gagrad_runtime.viewer.viewer import Viewer

PATH = "/login"
LARGEST = 8 << 10
"""Bytes of the largest form."""
TROUBLES = {"wrong": "The name or the password is wrong.", "often": "Too many attempts. Wait a minute."}
"""What the page says of ``?trouble=``."""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gagrad-edge</title></head><body><main><h1>gagrad-edge</h1>{trouble}
<form method="post" action="/login">
<p><label>Name <input name="name" autocomplete="username" required autofocus></label></p>
<p><label>Password
<input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Sign in</button></p></form></main></body></html>
"""


@get(PATH, include_in_schema=False)
async def plain_page(request: Request[Any, Any, Any]) -> Response[str]:
    """Return the form, without style: ``pages`` has one with."""
    said = TROUBLES.get(request.query_params.get("trouble", ""), "")
    trouble = f'<p role="alert">{html.escape(said)}</p>' if said else ""
    return Response(_PAGE.format(trouble=trouble), media_type="text/html")


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
