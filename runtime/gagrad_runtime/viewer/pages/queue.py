"""What to label next, one frame at a time, by keys."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get  # litestar reads the types

from gagrad_runtime.viewer.pages import asked, words
from gagrad_runtime.viewer.pages.judgement import judge
from gagrad_runtime.viewer.pages.rendering import page


@get("/queue", media_type="text/html")
async def queue(request: Request[Any, Any, Any]) -> Response[str]:
    """Answer with the page."""
    queries = asked.queries_of(request)
    fields = dict(request.query_params)
    found = await queries.queue(station=asked.text(fields, "station") or None)
    skipped = {asked.number({"n": one}, "n") for one in asked.text(fields, "skip").split(",")}
    chosen = asked.number(fields, "from")
    items = sorted(found.items, key=lambda one: (one.row.id != chosen, one.row.id in skipped))
    frame = await queries.frame(items[0].row.id) if items else None
    given = asked.number(fields, "given")
    last = None if given is None else await queries.frame(given)
    skip = [str(one) for one in skipped if one is not None][-40:]
    current = str(items[0].row.id) if items else ""
    return page(
        request,
        "queue.html",
        "queue",
        context=lambda: {
            "reasons": [_reasons()[one] for one in items[0].why if one in _reasons()] if items else [],
            "judged": None if frame is None else judge(frame),
        },
        items=items,
        item=items[0] if frame is not None else None,
        frame=frame,
        row=None if frame is None else frame.row,
        classes=found.classes,
        labelled=found.labelled,
        waiting=found.waiting,
        following=asked.address("/queue", fields, skip=",".join([*skip, current]), **{"from": None}),
        may_label=asked.may_label(request),
        last=last if last is not None and last.row.label else None,
    )


def _reasons() -> dict[str, str]:
    """Return why a frame is worth a label, in words."""
    return {
        "margin": words.say("The model is not sure of its answer."),
        "disagreement": words.say("The samples do not agree on the place."),
        "covering": words.say("Covering its place hardly changes the answer."),
        "roi": words.say("Its map lies outside the region of interest."),
        "novelty": words.say("Its map points where maps seldom point."),
    }
