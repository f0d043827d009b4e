"""The live page: the newest part, why it is NG, and whether that is the camera or the part."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from litestar import Request, Response, get  # litestar reads the types

from gagrad_runtime.viewer.live import stream
from gagrad_runtime.viewer.pages import asked, words
from gagrad_runtime.viewer.pages.judgement import judge
from gagrad_runtime.viewer.pages.rendering import fragment, language_of, page
from gagrad_runtime.viewer.queries import Filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.viewer.queries import Queries
    from gagrad_runtime.viewer.values import Disk, Frame, Health, Live
    from gagrad_runtime.viewer.viewer import Viewer

_SILENT = 300.0
"""Seconds without a message after which the page says so."""
_NEARLY_FULL = 0.95
"""Share of the disk from which it is a trouble."""


class Condition(NamedTuple):
    """State of one thing that the page depends on."""

    good: bool
    mark: str
    text: str


@get("/", media_type="text/html")
async def live(request: Request[Any, Any, Any]) -> Response[str]:
    """Answer with the page."""
    queries = asked.queries_of(request)
    fields = dict(request.query_params)
    only_ng, station = fields.get("show") == "ng", asked.text(fields, "station")
    found = await queries.live(station or None)
    frame = await shown(queries, found, station or None, only_ng=only_ng)
    return page(
        request,
        "live.html",
        "live",
        context=lambda: part(found, frame, several=not station),
        stations=found.stations,
        station=station,
        only_ng=only_ng,
        every_address=asked.address("/", fields, show=None),
        ng_address=asked.address("/", fields, show="ng"),
        stream=asked.address("/live/stream", fields),
    )


@get("/live/stream", media_type="text/event-stream")
async def live_stream(request: Request[Any, Any, Any]) -> Response[Any]:
    """Answer with a stream of the changing part of the page, newly made after each event."""
    viewer: Viewer = request.app.state.viewer
    fields = dict(request.query_params)
    only_ng, station, language = (
        fields.get("show") == "ng",
        asked.text(fields, "station"),
        language_of(request),
    )
    if viewer.changes.full:
        return Response("too many pages are open\n", status_code=503, media_type="text/plain")

    async def make() -> str:
        found = await viewer.queries.live(station or None)
        frame = await shown(viewer.queries, found, station or None, only_ng=only_ng)
        return fragment(language, "live_part.html", lambda: part(found, frame, several=not station))

    return stream(viewer.changes, station or None, (language, station, only_ng), make)


async def shown(queries: Queries, found: Live, station: str | None, *, only_ng: bool) -> Frame | None:
    """Return the frame that the page is about: the newest, or the newest that is NG."""
    if not only_ng or found.newest is None or found.newest.row.outcome == "NG":
        return found.newest
    number = next((row.id for row in found.strip if row.outcome == "NG"), None)
    if number is None:
        rows = (await queries.history(Filter(station=station, outcome="NG"), limit=1)).rows
        number = rows[0].id if rows else None
    return None if number is None else await queries.frame(number)


def part(found: Live, frame: Frame | None, *, several: bool) -> dict[str, Any]:
    """Return what the changing part of the page shows, in the language of the request."""
    newer = 0 if frame is None else sum(row.id > frame.row.id for row in found.strip)
    return {
        "frame": frame,
        "row": None if frame is None else frame.row,
        "judged": None if frame is None else judge(frame),
        "strip": found.strip,
        "newer": newer,
        "several": several and len(found.stations) > 1,
        "conditions": conditions(found, named=several and len(found.stations) > 1),
    }


def conditions(found: Live, *, named: bool = False) -> list[Condition]:
    """Return the state of cameras, messages, receivers and disks, what is wrong first.

    ``named``: with the station's name.
    """
    cameras = [
        Condition(
            one.state == "connected",
            "camera",
            {
                "connected": words.say("Camera connected"),
                "frozen": words.say("Camera frozen: {source}", source=one.station if named else one.source),
                "lost": words.say("Camera lost: {source}", source=one.station if named else one.source),
            }[one.state],
        )
        for one in found.cameras
    ]
    good = [one for one in cameras if one.good]
    told = [one for one in cameras if not one.good] + good[:1]
    if found.heard is not None:
        ago = time.time() - found.heard
        told.append(
            Condition(ago < _SILENT, "link", words.say("Last message {since}", since=words.since(ago)))
        )
    if found.gaps:
        missing = sum(one.missing for one in found.gaps)
        gap = words.count("{count} message is missing", "{count} messages are missing", missing)
        told.append(Condition(good=False, mark="caution", text=gap))
    told += _receivers(found.health, named=named) + _stations_disks(found.health, named=named)
    told.append(_disk(found.disk))
    return sorted(told, key=lambda one: one.good)


def _receivers(health: Sequence[Health], *, named: bool) -> list[Condition]:
    """Return which receivers take nothing; where all take what is sent, that."""
    told = [
        Condition(
            good=False,
            mark="link",
            text=words.say(
                "Receiver {receiver} takes nothing. Waiting: {count}",
                receiver=f"{one.station} {receiver.name}" if named else receiver.name,
                count=words.whole(receiver.waiting),
            ),
        )
        for one in health
        for receiver in one.receivers
        if receiver.error
    ]
    if told or not any(one.receivers for one in health):
        return told
    return [Condition(good=True, mark="link", text=words.say("Receivers all right"))]


def _stations_disks(health: Sequence[Health], *, named: bool) -> list[Condition]:
    """Return which stations cannot store results, or soon cannot; of one station how full its disk is."""
    told = []
    for one in health:
        said = {"station": one.station, "share": words.share(one.disk)}
        if one.degraded:
            text = words.say("Station {station} cannot store results", **said)
            told.append(Condition(good=False, mark="disk", text=text))
        elif one.disk is not None and (one.disk >= _NEARLY_FULL or not named):
            text = words.say("Disk of station {station}: {share} used", **said)
            told.append(Condition(one.disk < _NEARLY_FULL, "disk", text))
    return told


def _disk(disk: Disk) -> Condition:
    if disk.full:
        return Condition(good=False, mark="disk", text=words.say("Disk full: nothing new is stored"))
    free = words.say("Viewer: {size} GB free", size=f"{disk.free_bytes / 1e9:,.0f}")
    return Condition(disk.used < _NEARLY_FULL, "disk", free)
