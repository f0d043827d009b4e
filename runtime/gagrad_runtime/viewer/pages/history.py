"""The history: every frame, filtered, searched, counted by hour; a point in time in two clicks."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from litestar import Request, Response, get  # litestar reads the types

from gagrad_runtime.viewer.export import has_parquet
from gagrad_runtime.viewer.pages import asked, words
from gagrad_runtime.viewer.pages.charts import Bar, bars
from gagrad_runtime.viewer.pages.frame import states
from gagrad_runtime.viewer.pages.judgement import look_at
from gagrad_runtime.viewer.pages.rendering import page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from gagrad_runtime.viewer.queries import Choices, Filter
    from gagrad_runtime.viewer.values import Gap, Hour, Page, Row

_DAYS = 14
"""Days of the chart by day."""
_FIELDS = ("search", "station", "outcome", "verdict", "caution", "state", "label", "looked", "below", "until")
_EXPORTS = (("CSV", "/export/history.csv"), ("Parquet", "/export/history.parquet"))


class Line(NamedTuple):
    """One row of the list."""

    row: Row
    look: str
    word: str
    """Camera, part or person, in a word."""
    gap: Gap | None
    """Messages that never came, just newer than this row."""


@get("/history", media_type="text/html")
async def history(request: Request[Any, Any, Any]) -> Response[str]:
    """Answer with the page."""
    queries = asked.queries_of(request)
    fields = dict(request.query_params)
    wanted = asked.wanted(fields)
    found = await queries.history(wanted, before=asked.number(fields, "before"))
    choices = await queries.choices()
    day = _day(fields, wanted.until)
    first, last = day - timedelta(days=_DAYS - 1), day + timedelta(days=1)
    hours = await queries.hours(int(first.timestamp()), int(last.timestamp()), station=wanted.station)
    gaps = await queries.gaps(time.time() - 30 * 86400, station=wanted.station)
    return page(
        request,
        "history.html",
        "history",
        context=lambda: {
            "selects": selects(choices),
            "lines": lines(found, gaps),
            "days": by_day(fields, hours, day),
            "hours": by_hour(fields, hours, day),
            "day": words.date(day.timestamp()),
        },
        filtered=any(fields.get(name) for name in _FIELDS if name not in {"search", "until", "outcome"}),
        asked={name: asked.text(fields, name) for name in _FIELDS},
        earlier=asked.address("/history", fields, day=f"{first - timedelta(days=1):%Y-%m-%d}", before=None),
        later=asked.address("/history", fields, day=f"{day + timedelta(days=_DAYS):%Y-%m-%d}", before=None)
        if last.timestamp() < time.time()
        else None,
        older=None if found.older is None else asked.address("/history", fields, before=found.older),
        searched_to=found.searched_to,
        exports=[(name, asked.address(path, _said(wanted))) for name, path in _EXPORTS[: 1 + has_parquet()]],
    )


def _said(wanted: Filter) -> dict[str, str]:
    """Return the fields of ``wanted`` that say something, as the addresses of exports have them."""
    told = {
        name: value
        for name, value in msgspec.structs.asdict(wanted).items()
        if value not in (None, "", False)
    }
    return {name: "1" if value is True else str(value) for name, value in told.items()}


def _day(fields: Mapping[str, str], until: int | None) -> datetime:
    """Return the beginning of the day that is charted by hour."""
    chosen = asked.moment(fields, "day")
    if chosen is None:
        chosen = int(time.time()) if until is None else until - 1
    when = words.moment(chosen) or datetime.now().astimezone()
    when = when if 1971 <= when.year <= 9000 else datetime.now().astimezone()
    return when.replace(hour=0, minute=0, second=0, microsecond=0)


def selects(choices: Choices) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return the fields of the filter that offer a choice: name, title, and values with their texts."""
    every = ("", words.say("all"))
    some = [("any", words.say("any"))]
    return [
        ("station", words.say("Station"), [every, *((one, one) for one in choices.stations)]),
        ("verdict", words.say("Verdict"), [every, *((one, one) for one in choices.verdicts)]),
        (
            "caution",
            words.say("Caution"),
            [every, *some, *((one, words.caution(one)) for one in choices.cautions)],
        ),
        ("state", words.say("State"), [every, *states().items()]),
        (
            "label",
            words.say("Label"),
            [every, ("none", words.say("without")), *((f"={one}", one) for one in choices.labels)],
        ),
        ("looked", words.say("Looked at"), [every, ("no", words.say("not looked at"))]),
    ]


def lines(found: Page, gaps: Sequence[Gap]) -> list[Line]:
    """Return the rows of the list, with the gaps between them."""
    word = {
        "camera": words.say("camera"),
        "part": words.say("part"),
        "person": words.say("a person decides"),
        "waiting": words.say("waits for its map"),
        "nothing": "",
    }
    told, newer = [], None
    for row in found.rows:
        look = look_at(row)
        gap = next(
            (
                one
                for one in gaps
                if one.station == row.station and newer is not None and row.id <= one.frame < newer
            ),
            None,
        )
        told.append(Line(row, look, word[look], gap))
        newer = row.id
    return told


def by_day(fields: Mapping[str, str], hours: Sequence[Hour], day: datetime) -> Markup:
    """Return the chart of the days up to ``day``: a click shows its hours."""
    shown = [day - timedelta(days=back) for back in range(_DAYS - 1, -1, -1)]
    counts = {one.date(): [0, 0, 0] for one in shown}
    for hour in hours:
        when = words.moment(hour.time)
        if when is not None and when.date() in counts:
            _add(counts[when.date()], hour)
    made = []
    for one in shown:
        ng, ok, rest = counts[one.date()]
        until = f"{one + timedelta(days=1):%Y-%m-%dT00:00}"
        address = asked.address("/history", fields, day=f"{one:%Y-%m-%d}", until=until, before=None)
        title = _title(words.date(one.timestamp()), ng, ok, rest)
        made.append(Bar(str(one.day), title, address, ng, ok, rest, chosen=one == day))
    return bars(words.say("Frames by day"), made)


def by_hour(fields: Mapping[str, str], hours: Sequence[Hour], day: datetime) -> Markup:
    """Return the chart of the hours of ``day``: a click lists the frames from the end of that hour back."""
    counts = [[0, 0, 0] for _ in range(24)]
    for hour in hours:
        when = words.moment(hour.time)
        if when is not None and when.date() == day.date():
            _add(counts[when.hour], hour)
    made = []
    for number, (ng, ok, rest) in enumerate(counts):
        until = f"{day + timedelta(hours=number + 1):%Y-%m-%dT%H:%M}"
        address = asked.address("/history", fields, day=f"{day:%Y-%m-%d}", until=until, before=None)
        title = _title(f"{number:02d}:00–{number + 1:02d}:00", ng, ok, rest)
        made.append(
            Bar(
                f"{number}" if number % 3 == 0 else "",
                title,
                address,
                ng,
                ok,
                rest,
                chosen=fields.get("until") == until,
            )
        )
    return bars(words.say("Frames by hour"), made)


def _add(counts: list[int], hour: Hour) -> None:
    counts[0] += hour.ng
    counts[1] += hour.ok
    counts[2] += max(0, hour.frames - hour.ng - hour.ok)


def _title(when: str, ng: int, ok: int, rest: int) -> str:
    told = f"{when}: NG {words.whole(ng)}, OK {words.whole(ok)}"
    return f"{told}, {words.say('others {count}', count=words.whole(rest))}" if rest else told
