"""What an explanation says, in its event, in the index and in the record: the same in all three."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from msgspec import UNSET

from gagrad_runtime.report.record_schema import CoveringRecord, PlaceRecord
from gagrad_runtime.report.roi import Roi
from gagrad_runtime.station.condition import read_condition
from gagrad_runtime.station.events import ExplainedEvent, decode, encode
from gagrad_runtime.station.explaining import Explaining
from gagrad_runtime.station.findings import Finding
from gagrad_runtime.station.rule import Rule
from gagrad_runtime.station.store import Store
from tests.models import CLASSES
from tests.runtime.station.images import put

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = Roi("whole.json", inside=(np.array([[0, 0], [32, 0], [32, 24], [0, 24]], float),))
SPECK = Roi("speck.json", inside=(np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float),))
PLACE = PlaceRecord(box=(1, 2, 3, 4), area=4, share=0.5, peak=(2.0, 3.0), covering=0.25)
COVERING = CoveringRecord(
    fill="surroundings", before=0.9, places=[0.25], changed=[True], controls=[0.9], controls_changed=[False]
)


def explained(number: int, **fields: Any) -> ExplainedEvent:
    return ExplainedEvent(
        time="2026-01-01T00:00:00Z", id=number, file="a.png", record="a.json", picture="a.png", rcap=None,
        samples=5, seconds=0.5, **fields,
    )  # fmt: skip


FOUND = {
    "verdict": "dent", "probability": 0.9, "target": "dent", "against": "ok", "cautions": ["unsure"],
    "places": [PLACE], "covering": COVERING, "place_stability": 0.75, "roi_share": 0.4, "roi_passed": False,
}  # fmt: skip


@pytest.mark.slow
def test_event_index_and_record_say_the_same(station: Any, tmp_path: Path) -> None:
    """Class, cautions, places, covering test, stability and region; the covering test is made once."""
    put(tmp_path / "in", "a.png")
    one = station(explaining=Explaining({"rcap": False, "cover": True}, WHOLE, 0.5))
    one.run(once=True)
    verdict, event = station.events
    record = json.loads((tmp_path / "out" / event.record).read_text())
    said = json.loads(encode(event))
    assert (said["verdict"], said["probability"]) == (verdict.verdict, verdict.probability)
    assert said["target"] == record["target"]["name"]
    assert said["cautions"] == [caution["code"] for caution in record["cautions"]]
    assert said["places"] == record["places"] != []
    assert said["covering"] == record["covering"] is not None
    assert said["place_stability"] == record["place_stability"]
    assert (said["roi_share"], said["roi_passed"]) == (record["roi"]["share"], True)
    assert said["rcap"] is None
    (row,) = one.store.rows()
    found = row.finding
    assert (found.target, found.against, list(found.cautions)) == (event.target, None, event.cautions)
    assert (list(found.places), found.covering) == (event.places, event.covering)
    assert (found.place_stability, found.roi_share, found.roi_passed) == (
        event.place_stability,
        event.roi_share,
        True,
    )


@pytest.mark.slow
def test_a_map_beside_the_region_fails(station: Any, tmp_path: Path) -> None:
    """FAIL is in the event, the row and the record; without a limit there is a share and neither."""
    put(tmp_path / "in", "a.png")
    one = station(explaining=Explaining({"cover": False}, SPECK, 0.9))
    one.run(once=True)
    assert station.events[-1].roi_passed is False
    assert one.store.rows()[0].finding.roi_passed is False
    one.explaining = Explaining({"cover": False}, SPECK)
    put(tmp_path / "in", "b.png", 1)
    one.run(once=True)
    event = station.events[-1]
    assert event.roi_passed is UNSET
    assert 0 <= event.roi_share < 0.9
    assert event.covering is None
    assert json.loads((tmp_path / "out" / event.record).read_text())["roi"]["passed"] is None


def test_a_region_for_another_size_fails_the_frame(station: Any, tmp_path: Path) -> None:
    """The frame keeps its verdict, its row says why there is no explanation, and the station goes on."""
    put(tmp_path / "in", "a.png")
    one = station(explaining=Explaining({}, Roi("roi.png", inside=WHOLE.inside, frame_size=(48, 64))))
    one.run(once=True)
    (row,) = one.store.rows()
    assert (row.state, row.finding) == ("failed", None)
    assert "48 high and 64 wide" in row.reason


@pytest.mark.slow
def test_a_part_of_the_other_class_is_explained_without_it(station: Any, tmp_path: Path) -> None:
    """``against`` is as a rule the good class, and good parts are explained without it."""
    put(tmp_path / "in", "a.png")
    one = station()
    verdict = one.explainer.predict(tmp_path / "in" / "a.png").verdict
    other = next(name for name in CLASSES if name != verdict)
    one.explaining = Explaining({"against": verdict, "cover": False})
    one.run(once=True)
    assert (station.events[-1].target, station.events[-1].against) == (verdict, UNSET)
    put(tmp_path / "in", "b.png", 0)
    (tmp_path / "in" / "a.png").unlink()
    one.explaining = Explaining({"against": other, "cover": False})
    one.run(once=True)
    assert (station.events[-1].target, station.events[-1].against) == (verdict, other)


@pytest.mark.slow
def test_a_class_that_is_asked_for_is_explained_whatever_makes_it_ng(station: Any, tmp_path: Path) -> None:
    """``target`` outranks the condition of the rule; the verdict's event still says the condition."""
    put(tmp_path / "in", "a.png")
    one = station(explaining=Explaining({"target": 2, "cover": False}))
    said = one.explainer.predict(tmp_path / "in" / "a.png").verdict
    one.rule = Rule(ng=(read_condition(said, one.explainer.manifest.output, where="x"),))
    one.run(once=True)
    verdict, event = station.events
    assert (verdict.reason, event.target) == (said, CLASSES[2])


def test_the_index_keeps_what_an_event_says(tmp_path: Path) -> None:
    """All of it comes back from the row; removed to make room the row keeps it, deleted it is gone."""
    with Store(tmp_path) as store:
        for name in ("a", "b", "c"):
            number = store.add(name, name, "", state="waiting")
            store.finish(number, "explained", stem="", event=explained(number, **FOUND))
        expected = Finding("dent", "ok", ("unsure",), (PLACE,), COVERING, 0.75, 0.4, roi_passed=False)
        assert [row.finding for row in store.rows()] == [expected] * 3
        store.remove(1, "", 0)
        assert store.rows("dropped")[0].finding == expected
        store.delete_rows(1)
        assert store.index.rows("SELECT id FROM finding") == [(3,)]
    with Store(tmp_path) as store:
        assert [row.finding for row in store.rows()] == [expected]


def test_an_index_of_before_gets_the_table(tmp_path: Path) -> None:
    """Its rows stay and have no finding; ``result`` has the columns that an earlier version counts on."""
    with Store(tmp_path) as store:
        number = store.add("a", "a", "", state="waiting")
        store.finish(number, "explained")
    index = sqlite3.connect(tmp_path / "index.sqlite")
    index.executescript("DROP TRIGGER finding_of_row; DROP TABLE finding;")
    assert len(index.execute("SELECT * FROM result").fetchone()) == 10
    index.close()
    with Store(tmp_path) as store:
        assert [(row.name, row.state, row.finding) for row in store.rows()] == [("a", "explained", None)]
        assert store.heal() == []
        assert store.index.row("PRAGMA user_version") == (1,)


def test_events_of_before_are_read(tmp_path: Path) -> None:
    """An event that waits for a receiver since an earlier version has no findings, and is delivered."""
    event = decode(
        '{"event": "explained", "time": "2026-01-01T00:00:00Z", "id": 1, "file": "a.png", '
        '"record": "a.json", "picture": "a.png", "rcap": 0.5, "samples": 20, "seconds": 1.0}'
    )
    assert isinstance(event, ExplainedEvent)
    assert event.target is UNSET
    assert "places" not in json.loads(encode(event))
    with Store(tmp_path) as store:
        number = store.add("a", "a", "", state="waiting")
        store.finish(number, "explained", event=event)
        assert store.rows()[0].finding is None


@pytest.mark.slow
@pytest.mark.parametrize("each", [True, False])
def test_the_covering_test_is_made_once_where_only_the_last_map_counts(
    station: Any, tmp_path: Path, each: bool
) -> None:
    """With ``measure_each=False`` RCAP and covering test come with the last map, which is ``explain``'s."""
    put(tmp_path / "in", "a.png")
    explainer = station().explainer
    frame = tmp_path / "in" / "a.png"
    steps = list(explainer.refine(frame, samples=12, measure_each=each, rcap=True))
    assert [step.samples for step in steps] == [4, 8, 12]
    for step in steps[:-1]:
        assert (step.rcap is not None, step.covering is not None) == (each, each)
        assert step.places
    whole = explainer.explain(frame, samples=12, rcap=True)
    assert steps[-1].covering.places == pytest.approx(whole.covering.places, abs=1e-4)
    assert steps[-1].rcap.score == pytest.approx(whole.rcap.score, abs=1e-3)
