"""Pages that say one thing: nothing is here, something went wrong, who are you."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from gagrad_runtime.viewer.login import PATH
from gagrad_runtime.viewer.pages import words
from gagrad_runtime.viewer.pages.rendering import page


def nothing_there(request: Request[Any, Any, Any]) -> Response[str]:
    """Return the page for an address where nothing is: the frame was removed, or never was."""
    return page(
        request,
        "said.html",
        "missing",
        status=404,
        context=lambda: {
            "title": words.say("Nothing is here."),
            "told": [
                words.say("The frame was removed to make room for newer ones, or the address is wrong.")
            ],
        },
        back="/history",
    )


def failed(request: Request[Any, Any, Any], status: int, text: str) -> Response[str]:
    """Return the page that says that something went wrong; ``text`` is what a program is told."""
    if status == 404:
        return nothing_there(request)
    return page(
        request,
        "said.html",
        "missing",
        status=status,
        context=lambda: {"title": _title(status), "told": [f"{text} ({status})"]},
        back="/",
    )


def _title(status: int) -> str:
    known = {
        403: words.say("You may not do that."),
        413: words.say("That is too large."),
        503: words.say("Too much at once. Try again in a moment."),
        507: words.say("Nothing can be stored: the disk is full."),
    }
    return known.get(status, words.say("That did not work."))


@get(PATH, include_in_schema=False)
async def login_page(request: Request[Any, Any, Any]) -> Response[str]:
    """Answer with the form for name and password."""
    trouble = request.query_params.get("trouble", "")
    return page(
        request,
        "login.html",
        "login",
        context=lambda: {
            "said": {
                "wrong": words.say("The name or the password is wrong."),
                "often": words.say("Too many attempts. Wait a minute."),
            }.get(trouble, "")
        },
    )
