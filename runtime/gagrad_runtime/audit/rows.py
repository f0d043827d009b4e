"""From the images of a shard to its rows: predict all, explain a stratified sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import InputError, ModelError
from gagrad_edge.printable import printable
from gagrad_runtime.audit.packages import arrow
from gagrad_runtime.audit.quality import quality, shares
from gagrad_runtime.audit.sources import changed, content
from gagrad_runtime.audit.table import COLUMNS, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gagrad_runtime.audit.observing import Answer, Observer
    from gagrad_runtime.audit.plan import Asked
    from gagrad_runtime.audit.sources import Item
    from gagrad_runtime.explanation.explanation import Explanation

GIVEN_UP = "the process ended each time it came to this image"
"""Error of an image at which workers die."""


def table_of(rows: Iterable[Mapping[str, Any]]) -> Any:
    """Return ``rows`` as an Arrow table; a column that a row lacks is null there."""
    pa, kind, listed = arrow(), schema(), list(rows)
    columns = [[row.get(column.name) for row in listed] for column in COLUMNS]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, kind, strict=True)]
    return pa.Table.from_arrays(arrays, schema=kind)


def row_of(
    observer: Observer, asked: Asked, number: int, item: Item, *, given_up: bool = False
) -> dict[str, Any]:
    """Return the row of the image ``item``, whose number in the plan is ``number``.

    What is wrong with the image or with the model's answer to it stands in the row's ``error``. Raises what
    concerns the bundle, the device or the disk. ``given_up`` is for an image that ends the process.
    """
    row: dict[str, Any] = {
        "row": number, "path": as_text(item.path), "time": item.time or changed(item.path),
        "station": as_text(item.station), "part_id": as_text(item.part_id), "bundle": observer.sha256,
        "cautions": [], "explained": "", "error": "",
    }  # fmt: skip
    if given_up:
        return {**row, "error": GIVEN_UP}
    try:
        _look(observer, asked, item, row)
    except (InputError, ModelError) as error:
        row["error"] = printable(error.what)
    return row


def _look(observer: Observer, asked: Asked, item: Item, row: dict[str, Any]) -> None:
    frame = observer.frame(content(item.path))
    measured = quality(frame, observer.bits)
    row |= {"sha256": frame.sha256, "height": frame.height, "width": frame.width, **measured._asdict()}
    answer = observer.answer(frame)
    row |= {
        "verdict": as_text(answer.verdict), "ng": answer.ng, "probability": answer.probability,
        "margin": answer.margin, "score": answer.score, "cautions": list(answer.cautions),
    }  # fmt: skip
    reason = why(answer, frame.sha256, asked)
    if reason:
        explanation = observer.explanation(frame)
        row |= {"explained": reason, **explained(explanation)}
        row["cautions"] = list(dict.fromkeys((*answer.cautions, *(one.code for one in explanation.cautions))))
        row["roi_share"] = observer.roi_share(explanation)


def why(answer: Answer, sha256: str, asked: Asked) -> str:
    """Return why an image is explained: ``ng``, ``unsure``, ``caution``, ``sample``, or empty for not.

    Chance goes by the pixels' hash, so another bundle, another run or another machine draws the same images.
    """
    marked = ""
    if answer.ng:
        marked = "ng"
    elif "unsure" in answer.cautions:
        marked = "unsure"
    elif answer.cautions:
        marked = "caution"
    if marked and int(sha256[:8], 16) < asked.share * 2**32:
        return marked
    return "sample" if asked.one_in and int(sha256[8:16], 16) % asked.one_in == 0 else ""


def explained(explanation: Explanation) -> dict[str, Any]:
    """Return the columns that come from an explanation."""
    covering, rcap = explanation.covering, explanation.rcap
    places = [
        {**dict(zip(("left", "top", "right", "bottom"), place.box, strict=True)), "share": place.share}
        for place in explanation.places
    ]
    steady = explanation.place_stability
    found = {
        "places": places,
        "map": shares(explanation),
        "rcap": None if rcap is None else rcap.score,
        "stability": explanation.stability if steady is None else steady,
    }
    if covering is not None:
        decides = (covering.decides or 0) if covering.decidable else None
        found |= {
            "covered": covering.places[0] if covering.places else None,
            "covered_before": covering.before,
            "decides": decides,
            "changed_elsewhere": covering.changed_elsewhere if covering.decidable else None,
        }
    return found


def run_shard(
    observer: Observer,
    asked: Asked,
    first: int,
    items: Iterable[Item],
    *,
    given_up: frozenset[int] = frozenset(),
    begin: Callable[[int], None] = lambda _: None,
) -> Any:
    """Return the table of one shard, whose images have the numbers from ``first`` on.

    ``begin`` is called with the number of each image before it is looked at: where a process dies is known by
    it. ``given_up`` are the numbers of images that ended a process each time.
    """
    rows = []
    for number, item in enumerate(items, start=first):
        begin(number)
        rows.append(row_of(observer, asked, number, item, given_up=number in given_up))
    return table_of(rows)


def as_text(value: str) -> str:
    """Return ``value`` as valid UTF-8: Linux file names may hold any bytes, a table may not."""
    return value.encode("utf-8", "backslashreplace").decode()
