"""The addresses of data: pictures, records, exports, health. What people read as pages is in ``pages``."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Request, Response, get
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath  # noqa: TC002 - litestar resolves it
from litestar.response import Stream

from gagrad_runtime.labels.values import FORMATS
from gagrad_runtime.viewer import export, labels_export
from gagrad_runtime.viewer.history import Filter
from gagrad_runtime.viewer.pictures import TYPES, path
from gagrad_runtime.viewer.values import PICTURES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Iterator

    from gagrad_runtime.viewer.viewer import Viewer

_FOR_EVER = "private, max-age=31536000, immutable"
"""Pictures never change; they are private, because a password may stand before them."""
_PIECES = 16
"""Pieces of an export that are made at a time."""
_PIECE = 1 << 18
"""Bytes of a file that are read at a time."""


@get("/picture/{number:int}/{kind:str}", include_in_schema=False)
async def picture(
    request: Request[Any, Any, Any], number: FromPath[int], kind: FromPath[str]
) -> Response[bytes]:
    """Return a picture of a frame."""
    if kind not in PICTURES or not 0 < number < 1 << 62:
        raise NotFoundException("there is no such picture")
    where = path(_viewer(request).database.folder, number, kind)
    try:
        data = await asyncio.to_thread(where.read_bytes)
    except OSError:
        raise NotFoundException("there is no such picture, or no more") from None
    return Response(data, media_type=TYPES[kind], headers={"cache-control": _FOR_EVER})


@get("/record/{number:int}", include_in_schema=False)
async def record(request: Request[Any, Any, Any], number: FromPath[int]) -> Response[str]:
    """Return the JSON record of a frame."""
    found = await _viewer(request).queries.record(number) if 0 < number < 1 << 62 else None
    if found is None:
        raise NotFoundException("there is no such record")
    return Response(found, media_type="application/json")


@get("/export/history.csv", include_in_schema=False)
async def history_csv(request: Request[Any, Any, Any]) -> Stream:
    """Return what is filtered as CSV."""
    wanted = filter_of(request)
    return _streamed(
        request, lambda one: export.csv_lines(one, wanted), "history.csv", "text/csv; charset=utf-8"
    )


@get("/export/history.parquet", include_in_schema=False)
async def history_parquet(request: Request[Any, Any, Any]) -> Stream:
    """Return what is filtered as Parquet, where pyarrow is installed."""
    if not export.has_parquet():
        raise NotFoundException("Parquet needs the package pyarrow; /export/history.csv is there")
    wanted, queries = filter_of(request), _viewer(request).queries
    # A file without a name: a viewer that is killed leaves nothing behind.
    file = await asyncio.to_thread(tempfile.TemporaryFile)
    try:
        await queries.ask(lambda one: export.write_parquet(one, wanted, file))
        size = await asyncio.to_thread(file.tell)
        await asyncio.to_thread(file.seek, 0)
    except BaseException:
        file.close()
        raise

    async def pieces() -> AsyncIterator[bytes]:
        with file:
            while some := await asyncio.to_thread(file.read, _PIECE):
                yield some

    headers = {**_attached("history.parquet"), "content-length": str(size)}
    return Stream(pieces(), media_type="application/vnd.apache.parquet", headers=headers)


@get("/export/labels/{form:str}", include_in_schema=False)
async def labels(request: Request[Any, Any, Any], form: FromPath[str]) -> Stream:
    """Return all labels in a form that another tool reads."""
    if form not in FORMATS:
        raise NotFoundException(f"there is no such form: {', '.join(FORMATS)}")
    name, kind = FORMATS[form]
    return _streamed(request, lambda one: labels_export.write(one, form), name, kind)


@get("/health", include_in_schema=False)
async def health(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """Return 200 while events can be stored, and 503 while they cannot."""
    disk = _viewer(request).queries.disk
    said = {"alive": not disk.full, "disk_used": round(disk.used, 4)}
    return Response(said, status_code=503 if disk.full else 200)


HANDLERS = [picture, record, history_csv, history_parquet, labels, health]


def filter_of(request: Request[Any, Any, Any]) -> Filter:
    """Return the filter in the query of the address: the fields of ``Filter``, empty ones left out.

    Raises ClientException for a value that is none.
    """
    given: dict[str, Any] = {name: value for name, value in request.query_params.items() if value != ""}
    known = {name: given[name] for name in Filter.__struct_fields__ if name in given}
    for name in ("unlabelled", "not_looked"):
        if name in known:
            known[name] = known[name] not in ("0", "false", "no", "off")
    try:
        wanted = msgspec.convert(known, Filter, strict=False)
    except (msgspec.ValidationError, OverflowError) as error:
        raise ClientException(f"the filter cannot be used ({error})") from error
    return wanted


def _viewer(request: Request[Any, Any, Any]) -> Viewer:
    viewer: Viewer = request.app.state.viewer
    return viewer


def _streamed(
    request: Request[Any, Any, Any],
    make: Callable[[sqlite3.Connection], Iterator[bytes]],
    name: str,
    kind: str,
) -> Stream:
    """Return a file that is made while it is sent, some pieces at a time, by a connection of its own."""
    database = _viewer(request).database

    async def pieces() -> AsyncIterator[bytes]:
        connection = await asyncio.to_thread(database.connected)
        try:
            made = make(connection)
            while some := await asyncio.to_thread(_some, made):
                yield some
        finally:
            await asyncio.to_thread(connection.close)

    return Stream(pieces(), media_type=kind, headers=_attached(name))


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}


def _some(made: Iterator[bytes]) -> bytes:
    """Return the next pieces together; empty at the end."""
    found = b""
    for _, piece in zip(range(_PIECES), made, strict=False):
        found += piece
    return found
