"""What the forms of the pages do: give a label, take it back, bring in a file of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from litestar import Request, Response, post
from litestar.exceptions import ClientException, PermissionDeniedException

from gagrad_runtime.labels.reading import LARGEST as LARGEST_FILE
from gagrad_runtime.labels.reading import ImportedError
from gagrad_runtime.language import speaking
from gagrad_runtime.viewer.pages import asked, words
from gagrad_runtime.viewer.pages.rendering import language_of, page

if TYPE_CHECKING:
    from litestar.datastructures import UploadFile

    from gagrad_runtime.viewer.labels_import import Imported

_FORM = 16 << 10
"""Bytes of the largest form."""
_BESIDE = 64 << 10
"""Bytes of an upload beside its file."""


@post("/labels", request_max_body_size=_FORM, include_in_schema=False)
async def give(request: Request[Any, Any, Any]) -> Response[None]:
    """Give a frame a label, and go back to the page."""
    form = await _form(request)
    number, label = _frame(form), asked.text(form, "label")
    await asked.queries_of(request).label(number, label, _who(request))
    return _to(form)


@post("/labels/undo", request_max_body_size=_FORM, include_in_schema=False)
async def undo(request: Request[Any, Any, Any]) -> Response[None]:
    """Take the newest label of a frame back, and go back to the page."""
    form = await _form(request)
    await asked.queries_of(request).take_back(_frame(form), _who(request))
    return _to(form)


@post("/labels/import", request_max_body_size=LARGEST_FILE + _BESIDE, include_in_schema=False)
async def bring(request: Request[Any, Any, Any]) -> Response[str]:
    """Take the labels of a file, and say what came of it."""
    who = _who(request)
    upload: UploadFile | Any = (await request.form()).get("file")
    if not hasattr(upload, "read"):
        raise ClientException("choose a file")
    try:
        came = await asked.queries_of(request).import_labels(await upload.read(), who)
    except ImportedError as error:
        raise ClientException(str(error)) from error
    with speaking(language_of(request)):
        told = _told(came)
    return page(request, "said.html", "queue", title="", told=told, back="/queue")


def _told(came: Imported) -> list[str]:
    """Return what came of a file, as sentences."""
    told = [words.count("{count} label was given.", "{count} labels were given.", came.given)]
    if came.there:
        told.append(words.count("{count} was there already.", "{count} were there already.", came.there))
    if came.unknown:
        told.append(
            words.count(
                "{count} is of an image that is not here.",
                "{count} are of images that are not here.",
                came.unknown,
            )
        )
        told.append(words.say("The first of them: {name}", name=came.first_unknown))
    return told


def _who(request: Request[Any, Any, Any]) -> str:
    """Return the name of who asks. Raises PermissionDeniedException for who may not label."""
    person = asked.person_of(request)
    if person is None or not person.may_label:
        raise PermissionDeniedException("you may look, and not label")
    return person.name


async def _form(request: Request[Any, Any, Any]) -> dict[str, str]:
    try:
        return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), max_num_fields=20))
    except ValueError as error:
        raise ClientException("the form has too many fields") from error


def _frame(form: dict[str, str]) -> int:
    number = asked.number(form, "frame")
    if number is None:
        raise ClientException("the form names no frame")
    return number


def _to(form: dict[str, str]) -> Response[None]:
    """Return that the browser goes on to the page that the form names, of this server alone."""
    parts = urlsplit(asked.text(form, "next"))
    path = f"/{parts.path.lstrip('/')}" if parts.path.isascii() and parts.path.isprintable() else "/queue"
    query = f"?{parts.query}" if parts.query and parts.query.isascii() and parts.query.isprintable() else ""
    return Response(None, status_code=303, headers={"location": path.replace("\\", "") + query})
