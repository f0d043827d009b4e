"""The page of one frame: why, how sure that is, what would change the answer, and what is like it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from litestar import Request, Response, get  # litestar reads the types

from gagrad_runtime.viewer.database import BusyError, FullError
from gagrad_runtime.viewer.pages import asked, words
from gagrad_runtime.viewer.pages.charts import curve
from gagrad_runtime.viewer.pages.judgement import judge
from gagrad_runtime.viewer.pages.notices import nothing_there
from gagrad_runtime.viewer.pages.rendering import page
from gagrad_runtime.viewer.suggestions import classes

if TYPE_CHECKING:
    from gagrad_runtime.viewer.values import Frame


@get("/frame/{number:str}", media_type="text/html")
async def frame(request: Request[Any, Any, Any]) -> Response[str]:
    """Answer with the page of one frame."""
    queries = asked.queries_of(request)
    asked_for = asked.number(request.path_params, "number")
    found = None if asked_for is None else await queries.frame(asked_for)
    if asked_for is None or found is None:
        return nothing_there(request)
    if not found.row.looked:
        with contextlib.suppress(BusyError, FullError):  # looking goes on with a full disk
            await queries.look(asked_for)
    by_map = await queries.similar(asked_for, "map")
    by_picture = await queries.similar(asked_for, "picture")
    seen = {found.bundle_sha256}
    others = []
    for one in await queries.versions(asked_for):
        if one.bundle_sha256 not in seen:  # the newest look of each other model
            seen.add(one.bundle_sha256)
            others.append(one)
    return page(
        request,
        "frame.html",
        "frame",
        context=lambda: {"judged": judge(found), "facts": facts(found), "curve": curve(found.curve)},
        frame=found,
        row=found.row,
        by_map=by_map,
        by_picture=by_picture,
        versions=others,
        may_label=asked.may_label(request),
        classes=await queries.ask(classes),
    )


def facts(frame: Frame) -> list[tuple[str, str]]:
    """Return the small print: names and values of what is known beside."""
    row = frame.row
    known = [
        (words.say("File"), row.name),
        (words.say("Part"), row.part),
        (words.say("Number at the station"), "" if row.number is None else str(row.number)),
        (words.say("Size"), f"{frame.width} × {frame.height}" if frame.width and frame.height else ""),
        (words.say("State"), states()[row.state]),
        (words.say("Reason of the station"), row.reason),
        (words.say("Explained"), frame.target + (f" – {frame.against}" if frame.against else "")),
        (words.say("Samples"), "" if frame.samples is None else words.whole(frame.samples)),
        (words.say("Time of the verdict"), _milliseconds(frame.model_seconds)),
        (words.say("Time of the map"), _milliseconds(frame.map_seconds)),
        (words.say("Place 1 found again"), "" if row.stability is None else words.share(row.stability)),
        (words.say("RCAP"), "" if frame.rcap is None else f"{frame.rcap:.2f}"),
        (words.say("In the region of interest"), _region(frame)),
        (words.say("Record at the station"), frame.record),
    ]
    return [(name, value) for name, value in known if value]


def states() -> dict[str, str]:
    """Return the states of a frame in words."""
    return {
        "verdict": words.say("verdict only"),
        "waiting": words.say("waits for its map"),
        "explained": words.say("explained"),
        "dropped": words.say("not explained: too many waited"),
        "failed": words.say("failed"),
        "quarantined": words.say("no usable picture"),
    }


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:,.0f} ms"


def _region(frame: Frame) -> str:
    if frame.roi_share is None:
        return ""
    passed = {True: "PASS", False: "FAIL", None: ""}[frame.roi_passed]
    return f"{words.share(frame.roi_share)} {passed}".strip()
