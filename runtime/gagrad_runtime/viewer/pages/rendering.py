"""Rendering: a template and what is known become a page in the language of the request.

Everything that a template writes is escaped, whatever it is: names of files, of classes and of people come
from elsewhere. The pages have no script and no style of their own, so that the
policy of ``web.guard`` holds.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from litestar import MediaType, Response
from litestar.datastructures import Cookie

from gagrad_edge.printable import printable
from gagrad_runtime.language import LANGUAGES, accepted, current, marked, speaking
from gagrad_runtime.viewer.pages import words
from gagrad_runtime.web.access import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestar import Request

COOKIE = "language"
"""Name of the cookie that keeps the language that a person chose."""
_YEAR = 365 * 86400
_PAGES = (
    ("live", "/", "live", marked("Live")),
    ("history", "/history", "history", marked("History")),
    ("gallery", "/gallery", "gallery", marked("NG wall")),
    ("queue", "/queue", "queue", marked("Label")),
    ("fleet", "/fleet", "fleet", marked("Stations")),
    ("guide", "/guide", "guide", marked("Guide")),
)
"""Name, address, sign and title of each page, in the order of the menu."""


def language_of(request: Request[Any, Any, Any]) -> str:
    """Return the language of ``request``: in its address, chosen before, or what the browser likes."""
    for name in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if name in LANGUAGES:
            return name
    return accepted(request.headers.get("accept-language", "")) or current()


def page(
    request: Request[Any, Any, Any],
    template: str,
    name: str,
    *,
    status: int = 200,
    context: Callable[[], Mapping[str, Any]] = dict,
    **values: Any,
) -> Response[str]:
    """Return the page ``name`` made from ``template`` with ``values``.

    ``context`` returns further ones; it is called in the language of the request.
    """
    language = language_of(request)
    with speaking(language):
        other = next(one for one in LANGUAGES if one != language)
        asked = [(key, value) for key, value in request.query_params.multi_items() if key != "lang"]
        text = (
            environment()
            .get_template(template)
            .render(
                page=name,
                language=language,
                other_language=other,
                other_name=LANGUAGES[other],
                other_address=f"{request.url.path}?{urlencode([*asked, ('lang', other)])}",
                navigation=[(one, address, mark, words.say(title)) for one, address, mark, title in _PAGES],
                version=version(),
                **{"trouble": trouble(request), "person": _signed_in(request), **values, **context()},
            )
        )
    chosen = request.query_params.get("lang") in LANGUAGES
    cookies = [Cookie(key=COOKIE, value=language, max_age=_YEAR, samesite="lax")] if chosen else []
    return Response(
        text,
        status_code=status,
        media_type=MediaType.HTML,
        cookies=cookies,
        headers={"Content-Language": language, "Vary": "Accept-Language, Cookie"},
    )


def fragment(language: str, template: str, context: Callable[[], Mapping[str, Any]]) -> str:
    """Return part of a page, for the stream of events."""
    with speaking(language):
        return environment().get_template(template).render(context())


def trouble(request: Request[Any, Any, Any]) -> str:
    """Return what stands above every page: that nothing can be stored; empty where all is well."""
    viewer = request.app.state.get("viewer")
    if viewer is None or not viewer.database.full:
        return ""
    return words.say(
        "The disk is full: new parts are not stored. The stations keep them until there is room."
    )


def _signed_in(request: Request[Any, Any, Any]) -> str:
    """Return the name of who gave a password; empty where none is asked for."""
    person = request.scope.get("state", {}).get("person")
    return "" if person is None or person.name == LOCAL else str(person.name)


@functools.cache
def environment() -> Environment:
    """Return the templates, with the words that they call."""
    made = Environment(
        loader=PackageLoader("gagrad_runtime.viewer"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    named: Mapping[str, Any] = {
        "say": words.say,
        "count": words.count,
        "percent": words.percent,
        "share": words.share,
        "whole": words.whole,
        "clock": words.clock,
        "iso": words.iso,
        "date": words.date,
        "date_time": words.date_time,
        "since": words.since,
        "caution": words.caution,
        "where": words.where,
    }
    made.globals.update(named)
    return made


def _shown(value: Any) -> Any:
    """Return ``value`` as it may stand on a page: characters that turn or hide text are written out."""
    return printable(value) if type(value) is str else value


@functools.cache
def version() -> str:
    """Return what changes with every file of the pages: browsers keep a file under its address for long."""
    digest = hashlib.sha256()
    static = resources.files("gagrad_runtime.viewer") / "static"
    for one in sorted(static.iterdir(), key=lambda one: one.name):
        if one.is_file():
            digest.update(one.read_bytes())
    return digest.hexdigest()[:12]
