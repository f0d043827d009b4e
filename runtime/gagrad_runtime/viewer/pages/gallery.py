"""The NG wall: NG parts whose maps point at the same spot, together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request, Response, get  # litestar reads the types

from gagrad_runtime.viewer.pages import asked, words
from gagrad_runtime.viewer.pages.rendering import page

if TYPE_CHECKING:
    from gagrad_runtime.viewer.values import Group

_SIDE = 8
"""Cells along each side of a group's grid."""


@get("/gallery", media_type="text/html")
async def gallery(request: Request[Any, Any, Any]) -> Response[str]:
    """Answer with the page."""
    queries = asked.queries_of(request)
    fields = dict(request.query_params)
    station = asked.text(fields, "station")
    groups = await queries.groups(station=station or None, before=asked.number(fields, "before"))
    last = groups[-1].newest[0].id if groups and groups[-1].newest else None
    return page(
        request,
        "gallery.html",
        "gallery",
        context=lambda: {"spots": [_spot(one) for one in groups]},
        groups=groups,
        stations=(await queries.choices()).stations,
        station=station,
        older=None if last is None else asked.address("/gallery", fields, before=last),
    )


def _spot(group: Group) -> str:
    """Return in words where the maps of ``group`` are: the middle of their cells."""
    if not group.cells:
        return words.MISSING
    x = sum(one % _SIDE for one in group.cells) / len(group.cells) + 0.5
    y = sum(one // _SIDE for one in group.cells) / len(group.cells) + 0.5
    return words.where((x, y), _SIDE, _SIDE)
