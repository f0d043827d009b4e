"""The history: what a filter lets through, page by page, in bounded time."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from gagrad_runtime.viewer import history as histories
from gagrad_runtime.viewer.queries import Filter
from gagrad_runtime.viewer.viewer import Viewer
from tests.runtime.viewer.sending import explained, sent, verdict, viewing

BEGAN = 1795737600  # 2026-11-27T00:00:00Z


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a viewer with 120 frames of two stations, a third of them NG, and the frames as sent."""
    chance, frames, events = random.Random(7), [], []  # noqa: S311 - made-up parts
    sequence = {"a": 0, "b": 0}
    for number in range(1, 121):
        station, bad = chance.choice("ab"), number % 3 == 0
        frame = {
            "station": station, "epoch": station * 32, "id": number,
            "file": f"lot{number % 5}-part-{number:03d}.png",
            "time": f"2026-11-27T{number // 6:02d}:{number % 6 * 10:02d}:00Z",
            "verdict": chance.choice(["dent", "scratch"]) if bad else "ok", "outcome": "NG" if bad else "OK",
            "probability": round(chance.random(), 3), "explain": bad,
        }  # fmt: skip
        frames.append({**frame, "cautions": ["unsure"] if bad and number % 2 else []})
        sequence[station] += 1
        events.append(verdict(sequence[station], **frame))
        if bad:
            sequence[station] += 1
            events.append(explained(sequence[station], number, **frame, cautions=frames[-1]["cautions"]))
    with viewing(tmp_path_factory.mktemp("plant")) as viewer:
        assert set(sent(viewer, *events)) == {204}
        yield viewer, frames


CASES: list[tuple[Filter, Any]] = [
    (Filter(), lambda one: True),
    (Filter(station="a"), lambda one: one["station"] == "a"),
    (Filter(station="nobody"), lambda one: False),
    (Filter(outcome="NG"), lambda one: one["outcome"] == "NG"),
    (Filter(verdict="dent"), lambda one: one["verdict"] == "dent"),
    (Filter(verdict="no such"), lambda one: False),
    (Filter(state="explained"), lambda one: one["explain"]),
    (Filter(lowest=0.2, highest=0.6), lambda one: 0.2 <= one["probability"] <= 0.6),
    (Filter(caution="unsure", station="b"), lambda one: one["station"] == "b" and bool(one["cautions"])),
    (Filter(caution="any"), lambda one: bool(one["cautions"])),
    (Filter(text="LOT3"), lambda one: "lot3" in one["file"]),
    (Filter(text="lot3 09"), lambda one: "lot3" in one["file"] and "09" in one["file"]),
    (Filter(text='"*'), lambda one: False),
    (Filter(since=BEGAN + 3600, until=BEGAN + 7200), lambda one: "T01" in one["time"]),
    (Filter(since=BEGAN + 3600 * 30), lambda one: False),
    (Filter(unlabelled=True, not_looked=True), lambda one: True),
    (Filter(label="dent"), lambda one: False),
]


@pytest.mark.parametrize(("wanted", "passes"), CASES)
def test_a_filter_lets_through_what_it_says(
    plant: tuple[Viewer, list[dict[str, Any]]], wanted: Filter, passes: Any
) -> None:
    """All pages together are the frames that pass, the newest first, each once."""
    viewer, frames = plant
    found, before = [], None
    while True:
        page = asyncio.run(viewer.queries.history(wanted, before=before, limit=7))
        found += [row.number for row in page.rows]
        assert page.searched_to is None
        before = page.older
        if before is None:
            break
    assert found == [one["id"] for one in reversed(frames) if passes(one)]


def test_a_search_ends_in_time_and_goes_on(
    plant: tuple[Viewer, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nearly nothing passes, a page says how far it searched, and the next pages find the rest."""
    viewer, _ = plant
    monkeypatch.setattr(histories, "TIME", -1.0)
    monkeypatch.setattr(histories, "_SPAN", 8)
    monkeypatch.setattr(histories, "_LONGEST", 8)
    found, before, pages = [], None, 0
    while pages == 0 or before is not None:
        page = asyncio.run(viewer.queries.history(Filter(text="part-003"), before=before))
        assert page.older is None or page.searched_to is not None
        found, before, pages = [*found, *(row.number for row in page.rows)], page.older, pages + 1
    assert found == [3]
    assert pages == 15


def test_a_point_in_time_is_found(plant: tuple[Viewer, list[dict[str, Any]]]) -> None:
    """The page that begins at a time begins with the last frame up to then."""
    viewer, _ = plant
    before = asyncio.run(viewer.queries.before_of(BEGAN + 5 * 3600))
    page = asyncio.run(viewer.queries.history(Filter(), before=before, limit=1))
    assert page.rows[0].time == BEGAN + 5 * 3600
    assert asyncio.run(viewer.queries.before_of(BEGAN - 10)) is None


def test_the_hours_count_what_there_is(plant: tuple[Viewer, list[dict[str, Any]]]) -> None:
    """The counters of stations add up to those of all, and a wider span to the same sums."""
    viewer, _ = plant

    def sums(station: str | None, span: int) -> tuple[int, int, int, int]:
        found = asyncio.run(viewer.queries.hours(BEGAN, BEGAN + 86400, station=station, span=span))
        assert [one.time for one in found] == sorted({one.time for one in found})
        return tuple(sum(getattr(one, name) for one in found) for name in ("frames", "ng", "ok", "explained"))  # type: ignore[return-value]

    assert sums(None, 3600) == sums(None, 6 * 3600) == (120, 40, 80, 40)
    assert tuple(map(sum, zip(sums("a", 3600), sums("b", 3600), strict=True))) == (120, 40, 80, 40)


def test_the_gallery_groups_what_points_at_the_same_place(plant: tuple[Viewer, list[dict[str, Any]]]) -> None:
    """NG frames of one station and verdict with the same place are one group; OK frames are in none."""
    viewer, _ = plant
    groups = asyncio.run(viewer.queries.groups())
    assert sum(group.frames for group in groups) == 40
    assert len({(group.station, group.verdict) for group in groups}) == len(groups) == 4
    page = asyncio.run(viewer.queries.group(groups[0].id, limit=3))
    assert len(page.rows) == 3
    assert page.older is not None
    assert {row.verdict for row in page.rows} == {groups[0].verdict}
    likest = asyncio.run(viewer.queries.similar(page.rows[0].id, "map"))
    assert likest[0].likeness == 1.0
    assert likest[0].row.station == groups[0].station


def test_the_queue_puts_first_what_teaches_most(plant: tuple[Viewer, list[dict[str, Any]]]) -> None:
    """The frames come with their reasons, none twice, those with labels not at all, and classes have keys."""
    viewer, _ = plant
    queue = asyncio.run(viewer.queries.queue(limit=10))
    assert len({item.row.id for item in queue.items}) == 10
    assert queue.waiting == 40
    assert all(
        "margin" not in item.why or abs((item.row.probability or 0) - 0.5) < 0.4 for item in queue.items
    )
    first = queue.items[0].row.id
    asyncio.run(viewer.queries.label(first, "dust", "hana"))
    after = asyncio.run(viewer.queries.queue(limit=40))
    assert first not in {item.row.id for item in after.items}
    assert after.classes[0] == "dust"
    assert (after.labelled, after.waiting) == (1, 39)
    asyncio.run(viewer.queries.take_back(first, "hana"))
    assert asyncio.run(viewer.queries.queue()).labelled == 0
