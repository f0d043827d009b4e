"""All stations: a tile for each, with what is unlike its own last week and unlike the others."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from litestar import Request, Response, get  # litestar reads the types

from gagrad_runtime.viewer.pages import asked, words
from gagrad_runtime.viewer.pages.rendering import page

if TYPE_CHECKING:
    from gagrad_runtime.viewer.values import Tile

_SILENT, _SKEW, _FULL, _CHANGED = 600.0, 5.0, 0.95, 1.5
"""Seconds of silence, seconds of difference between clocks, share of the disk, and growth of the NG rate,
from which a tile says so."""
_LEAST = 0.01
"""Growth of the NG rate below which nothing is said."""


class Shown(NamedTuple):
    """A tile with its words."""

    tile: Tile
    heard: str
    troubles: list[str]
    trend: str
    camera: str
    receivers: str
    clock: str


@get("/fleet", media_type="text/html")
async def fleet(request: Request[Any, Any, Any]) -> Response[str]:
    """Answer with the page."""
    queries = asked.queries_of(request)
    found = await queries.fleet()
    return page(
        request,
        "fleet.html",
        "fleet",
        context=lambda: {"tiles": [_shown(one) for one in found.tiles], "rate": _rate},
    )


def _shown(tile: Tile) -> Shown:
    ago = time.time() - tile.heard
    bad = [one for one in tile.cameras if one.state != "connected"]
    names = {
        "connected": words.say("connected"),
        "frozen": words.say("frozen"),
        "lost": words.say("lost"),
    }
    camera = ", ".join(names[one.state] for one in bad or tile.cameras[:1]) or words.MISSING
    clock = words.MISSING if tile.skew is None else f"{tile.skew:+.1f} s"
    return Shown(tile, words.since(ago), _troubles(tile, ago), _trend(tile), camera, _receivers(tile), clock)


def _receivers(tile: Tile) -> str:
    """Return the receivers of the station by name, and how many events each has not acknowledged."""
    if tile.health is None or not tile.health.receivers:
        return words.MISSING
    return ", ".join(
        words.say("{receiver}: {count} waiting", receiver=one.name, count=words.whole(one.waiting))
        for one in tile.health.receivers
    )


def _troubles(tile: Tile, ago: float) -> list[str]:
    told = []
    if ago > _SILENT:
        told.append(words.say("Nothing has come for a while."))
    for one in tile.cameras:
        if one.state == "lost":
            told.append(words.say("Camera lost: {source}", source=one.source))
        elif one.state == "frozen":
            told.append(words.say("Camera frozen: {source}", source=one.source))
    told += _of_health(tile)
    if tile.other_bundle:
        told.append(words.say("Another model than most stations with this name."))
    if tile.missing:
        told.append(words.count("{count} message is missing", "{count} messages are missing", tile.missing))
    if tile.skew is not None and abs(tile.skew) > _SKEW:
        told.append(words.say("Its clock is {seconds} s off.", seconds=f"{tile.skew:+.0f}"))
    if tile.disk is not None and tile.disk > _FULL:
        told.append(words.say("Its disk is nearly full."))
    if _trend(tile) == "▲":
        told.append(words.say("More NG than in its last week."))
    return told


def _of_health(tile: Tile) -> list[str]:
    """Return what the station itself says is wrong with its receivers and its disk."""
    if tile.health is None:
        return []
    told = [
        words.say(
            "Receiver {receiver} takes nothing since {time}: {error}",
            receiver=one.name,
            time=words.date_time(_moment(one.since)),
            error=one.error,
        )
        for one in tile.health.receivers
        if one.error
    ]
    if tile.health.degraded:
        told.append(words.say("Station {station} cannot store results", station=tile.station))
    return told


def _moment(text: str) -> float | None:
    """Return the time that an event says, seconds since 1970; None for what is none."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


def _trend(tile: Tile) -> str:
    """Return an arrow where the NG rate is unlike that of the station's last week."""
    now, week = tile.ng_rate, tile.ng_rate_week
    if now is None or week is None or abs(now - week) < _LEAST:
        return ""
    return "▲" if now > _CHANGED * week else "▼" if week > _CHANGED * now else ""


def _rate(value: float | None) -> str:
    return words.MISSING if value is None else f"{value * 100:.1f} %"
