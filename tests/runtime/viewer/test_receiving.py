"""The receiver: every event once, in the order of the sequence, and acknowledged when it is stored."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import httpx
import msgspec
import pytest

from gagrad_runtime.station import events as station_events
from gagrad_runtime.viewer.pages.judgement import look_at
from gagrad_runtime.viewer.queries import Filter
from gagrad_runtime.viewer.received import read
from gagrad_runtime.viewer.values import Gap
from tests.runtime.viewer.sending import EPOCH, explained, got, pictured, sent, value, verdict, viewing


def test_an_event_is_stored_once(tmp_path: Path) -> None:
    """A repetition is acknowledged and changes nothing, also after the viewer was started again."""
    with viewing(tmp_path) as viewer:
        assert sent(viewer, verdict(1), verdict(1), explained(2, 1), explained(2, 1)) == [204] * 4
    with viewing(tmp_path) as viewer:
        assert sent(viewer, verdict(1), explained(2, 1)) == [204] * 2
        assert value(viewer, "SELECT count(*) FROM frame") == 1
        (hour,) = asyncio.run(viewer.queries.hours(0, 1 << 40))
        assert (hour.frames, hour.ng, hour.explained, hour.lost) == (1, 1, 1, 0)


def test_an_explanation_joins_its_verdict(tmp_path: Path) -> None:
    """A frame has verdict, places, covering test, cautions, pictures and record, whatever was restarted."""
    later = {"epoch": "1" * 32, **pictured()}
    with viewing(tmp_path) as viewer:
        assert sent(viewer, verdict(1), explained(2, 1, **later)) == [204, 204]
        frame = asyncio.run(viewer.queries.frame(1))
        assert frame is not None
        assert (frame.row.state, frame.row.verdict, frame.row.outcome) == ("explained", "scratch", "NG")
        assert frame.row.cautions == ("peaks-disagree",)
        assert frame.places[0].box == (10, 20, 60, 50)
        assert frame.covering is not None
        assert frame.covering.decides == 1
        assert [(point.level, point.confidence) for point in frame.curve] == [(0.5, 0.9), (0.9, 0.8)]
        assert frame.row.pictures == ("picture", "frame", "map")
        for kind, type_ in (("picture", "image/png"), ("frame", "image/jpeg"), ("map", "image/png")):
            answer = got(viewer, f"/picture/1/{kind}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, type_)
        assert got(viewer, "/record/1").json()["rcap"]["score"] == 0.4


def test_a_fault_of_the_camera_is_told_with_the_verdict(tmp_path: Path) -> None:
    """A caution about the frame comes with the verdict, and an explanation has the last word."""
    with viewing(tmp_path) as viewer:
        sent(
            viewer,
            verdict(1, outcome="OK", explain=False, cautions=["frame-unusual"]),
            verdict(2, outcome="OK", explain=False, cautions=[]),
            verdict(3, outcome="OK", explain=False),
            verdict(4, cautions=["frame-unusual"]),
            explained(5, 4, cautions=[]),
        )
        rows = asyncio.run(viewer.queries.history(Filter())).rows[::-1]
        assert [(row.cautions, row.checked) for row in rows] == [
            (("frame-unusual",), True),
            ((), True),
            ((), False),
            ((), True),
        ]
        assert [look_at(row) for row in rows] == ["camera", "nothing", "nothing", "part"]
        found = asyncio.run(viewer.queries.history(Filter(caution="frame-unusual"))).rows
        assert [row.id for row in found] == [1]
        pages = [got(viewer, f"/frame/{number}", accept="text/html").text for number in (1, 2, 3)]
        assert "The camera: check it first" in pages[0]
        assert ["Its picture was not checked" in page for page in pages] == [False, False, True]


def test_data_of_an_earlier_version_are_brought_up(tmp_path: Path) -> None:
    """A database without ``frame.checked`` gets it, with all its frames."""
    with viewing(tmp_path) as viewer:
        sent(viewer, verdict(1))
    connection = sqlite3.connect(tmp_path / "viewer.sqlite")
    connection.execute("ALTER TABLE frame DROP COLUMN checked")
    connection.execute("PRAGMA user_version=1")
    connection.close()
    with viewing(tmp_path) as viewer:
        assert sent(viewer, verdict(2, cautions=[])) == [204]
        rows = asyncio.run(viewer.queries.history(Filter())).rows
        assert [(row.name, row.checked) for row in rows] == [("part-2.png", True), ("part-1.png", False)]


def test_a_stations_health_is_shown(tmp_path: Path) -> None:
    """Live page and fleet say which receiver takes nothing, how full the disk is, and how the camera is."""
    ill = {
        "name": "mqtt",
        "waiting": 1200,
        "dropped": 0,
        "refused": 0,
        "error": "refused <b>",
        "since": EPOCH,
    }
    fine = {"name": "webhook", "waiting": 0, "dropped": 0, "refused": 0}
    told = {"event": "health", "degraded": False, "waiting": 0, "disk": 0.5, "receivers": [fine]}
    with viewing(tmp_path) as viewer:
        sent(viewer, verdict(1), verdict(2, **told))

        def page(path: str, language: str = "en") -> str:
            viewer.queries._fleet = None
            return got(viewer, path, accept="text/html", **{"accept-language": language}).text

        assert "Receivers all right" in page("/")
        assert "Disk of station line-1: 50\u2009% used" in page("/").replace(" %", "\u2009%")
        assert "webhook: 0 waiting" in page("/fleet")
        told |= {"receivers": [fine, ill], "degraded": True, "camera": "frozen", "source": "rtsp://c"}
        sent(viewer, verdict(3, **told))
        assert "Receiver mqtt takes nothing. Waiting: 1,200" in page("/")
        assert "Station line-1 cannot store results" in page("/")
        assert "Camera frozen: rtsp://c" in page("/")
        assert "refused &lt;b&gt;" in page("/fleet")
        assert "受信先「mqtt」が受信していません（送信待ち：1,200件）" in page("/", "ja")
        sent(viewer, verdict(4, event="source", state="connected", source="rtsp://c", reason=""))
        sent(viewer, verdict(5, **{**told, "camera": "connected"}))
        assert "Camera connected" in page("/")
        assert asyncio.run(viewer.queries.live("line-1")).health[0].receivers[1].waiting == 1200


def test_ends_without_an_explanation_are_told(tmp_path: Path) -> None:
    """Dropped, failed and quarantined frames say why; one that had no verdict gets a row of its own."""
    ends = [
        {"event": "dropped", "sequence": 2, "id": 1, "file": "part-1.png", "reason": "too many"},
        {"event": "quarantined", "sequence": 3, "id": None, "file": "x.png", "reason": "no image"},
    ]
    with viewing(tmp_path) as viewer:
        assert set(sent(viewer, verdict(1), *({**verdict(0), "verdict": None, **end} for end in ends))) == {
            204
        }
        rows = asyncio.run(viewer.queries.live()).strip
        assert [(row.name, row.state, row.reason) for row in rows] == [
            ("x.png", "quarantined", "no image"),
            ("part-1.png", "dropped", "too many"),
        ]
        assert asyncio.run(viewer.queries.hours(0, 1 << 40))[0].lost == 2


def test_a_hole_in_the_sequence_is_a_gap(tmp_path: Path) -> None:
    """Missing numbers are shown, also over a restart of the station, and no more once they came late."""
    with viewing(tmp_path) as viewer:
        sent(viewer, verdict(1), verdict(2), verdict(6), verdict(9, epoch="1" * 32))
        found = asyncio.run(viewer.queries.gaps(0))
        assert [(gap.after, gap.before, gap.missing) for gap in found] == [(6, 9, 2), (2, 6, 3)]
        sent(viewer, verdict(4))
        assert sorted(gap.missing for gap in asyncio.run(viewer.queries.gaps(0))) == [1, 1, 2]
        sent(viewer, verdict(3), verdict(5), verdict(8, epoch="1" * 32), verdict(7, epoch="1" * 32))
        assert asyncio.run(viewer.queries.gaps(0)) == ()
        # A new index begins again at 1: that is no hole.
        sent(viewer, verdict(1, epoch="2" * 32))
        assert asyncio.run(viewer.queries.gaps(0)) == ()
    assert Gap(station="", after=1, before=4, at=0, frame=0).missing == 2


def test_the_order_is_that_of_the_sequence(tmp_path: Path) -> None:
    """A station whose clock jumps back keeps its order, and its clock's distance is known."""
    ahead = format_datetime(datetime.now(timezone.utc) + timedelta(minutes=5), usegmt=True)
    with viewing(tmp_path) as viewer:
        sent(viewer, verdict(1), verdict(2, time="2020-01-01T00:00:00Z"), date=ahead)
        assert [row.number for row in asyncio.run(viewer.queries.live()).strip] == [2, 1]
        (tile,) = asyncio.run(viewer.queries.fleet()).tiles
        assert tile.skew == pytest.approx(300, abs=10)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000,
     msgspec.json.encode(verdict(-1)), msgspec.json.encode(verdict(1, station="a/b")),
     msgspec.json.encode(verdict(1, time="yesterday")), msgspec.json.encode(verdict(1, file="x" * 5000)),
     msgspec.json.encode(explained(1, 1, frame_jpeg="%%%")),
     msgspec.json.encode(explained(1, 1, map_png="AAAA"))],
)  # fmt: skip
def test_what_is_no_event_is_refused_for_good(tmp_path: Path, body: bytes) -> None:
    """The answer is 400, which a station does not send again, and nothing is stored."""
    from tests.runtime.viewer.sending import asked

    with viewing(tmp_path) as viewer:
        assert asked(viewer, lambda client: client.post("/events", content=body)).status_code == 400
        assert value(viewer, "SELECT count(*) FROM event") == 0


def test_a_later_stations_event_is_no_error(tmp_path: Path) -> None:
    """An unknown kind and unknown fields are acknowledged, so that a station may be newer than the viewer."""
    with viewing(tmp_path) as viewer:
        assert sent(viewer, verdict(1, event="weather", new=1), verdict(2, new={"a": 1})) == [204, 204]
        assert asyncio.run(viewer.queries.gaps(0)) == ()


def test_every_field_that_is_read_is_one_that_stations_send() -> None:
    """The fields of ``Received`` are in docs/event.schema.json."""
    known = {
        name for kind in station_events.json_schema()["$defs"].values() for name in kind.get("properties", ())
    }
    from gagrad_runtime.viewer.received import Received

    assert set(Received.__struct_fields__) <= known
    event = station_events.SourceEvent(
        station="s",
        epoch=EPOCH,
        sequence=1,
        time="2026-01-01T00:00:00Z",
        state="lost",
        source="rtsp://c",
        reason="r",
    )
    assert read(station_events.encode(event))[0].source == "rtsp://c"


def test_the_stations_token_is_asked_for(tmp_path: Path) -> None:
    """Without it, and with another, nothing is stored and the answer is one that is sent again."""
    with viewing(tmp_path, token="t" * 32) as viewer:
        assert sent(viewer, verdict(1)) == [401]
        assert sent(viewer, verdict(1), authorization="Bearer wrong") == [401]
        assert sent(viewer, verdict(1), authorization="Bearer " + "t" * 32) == [204]
        assert got(viewer, "/export/history.csv").status_code == 200


def test_a_full_disk_stops_the_acknowledging(tmp_path: Path) -> None:
    """While nothing can be written the answer is 507 and health says so; then all goes on by itself."""
    with viewing(tmp_path) as viewer:
        sent(viewer, verdict(1))
        writing = viewer.database.write(lambda one: one.execute("PRAGMA page_count").fetchone()[0]).result()
        viewer.database.write(lambda one: one.execute(f"PRAGMA max_page_count={writing}").fetchone()).result()
        many = [verdict(number, reason="x" * 4000) for number in range(2, 12)]
        assert set(sent(viewer, *many)) >= {507}
        assert got(viewer, "/health").status_code == 503
        assert viewer.queries.disk.full
        viewer.database._connection.execute("PRAGMA max_page_count=1000000")
        assert set(sent(viewer, *many)) == {204}
        assert got(viewer, "/health").status_code == 200
        assert value(viewer, "SELECT count(*) FROM frame") == 11


def test_a_picture_that_cannot_be_written_is_not_acknowledged(tmp_path: Path) -> None:
    """Where the folder of pictures cannot be made, the event is not stored either, and comes again."""
    with viewing(tmp_path) as viewer:
        (tmp_path / "pictures").write_text("in the way")
        assert sent(viewer, verdict(1), explained(2, 1, **pictured())) == [204, 507]
        (tmp_path / "pictures").unlink()
        assert sent(viewer, explained(2, 1, **pictured())) == [204]
        frame = asyncio.run(viewer.queries.frame(1))
        assert frame is not None
        assert frame.row.pictures


def test_a_client_that_gives_up_stops_nothing(tmp_path: Path) -> None:
    """What nobody waits for any more is left out, and what comes after it is stored."""
    with viewing(tmp_path) as viewer:
        begun, go_on = threading.Event(), threading.Event()
        first = viewer.database.write(lambda _: (begun.set(), go_on.wait(10)))
        assert begun.wait(10)
        given_up = viewer.database.write(lambda one: one.execute("DELETE FROM station"))
        assert given_up.cancel()
        assert not first.cancel()
        go_on.set()
        assert sent(viewer, verdict(1), verdict(2)) == [204, 204]
        assert value(viewer, "SELECT count(*) FROM frame") == 2


@pytest.mark.slow
def test_two_hundred_stations_at_once(tmp_path: Path) -> None:
    """Each event of each station is there once, in the order of its station."""

    async def station(client: httpx.AsyncClient, number: int) -> None:
        for sequence in (1, 2, 2, 3):
            event = verdict(sequence, station=f"line-{number}", epoch=f"{number:032x}")
            assert (await client.post("/events", json=event)).status_code == 204

    async def work(client: httpx.AsyncClient) -> None:
        await asyncio.gather(*(station(client, number) for number in range(200)))

    from tests.runtime.viewer.sending import asked

    with viewing(tmp_path) as viewer:
        asked(viewer, work)
        assert value(viewer, "SELECT count(*) FROM frame") == 600
        assert value(viewer, "SELECT count(*) FROM (SELECT 1 FROM frame GROUP BY station, number)") == 600
        orders = viewer.database.reader().execute("SELECT group_concat(number) FROM frame GROUP BY station")
        assert {order for (order,) in orders} == {"1,2,3"}
        assert len(asyncio.run(viewer.queries.fleet()).tiles) == 200
