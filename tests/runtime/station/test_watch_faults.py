"""A station under faults: full disks, kills, clocks, a second station."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

import gagrad_runtime.station.unread as unread_module
import gagrad_runtime.station.watch as watch_module
from gagrad_edge.cli import run
from gagrad_edge.errors import FrameError, OutputError
from gagrad_runtime.frame.decoder import ChildDecoder
from gagrad_runtime.report.report import Report
from gagrad_runtime.station.config import RetentionTable
from gagrad_runtime.station.rule import Rule
from gagrad_runtime.station.sources.folder import FileArrival
from gagrad_runtime.station.store import Store
from gagrad_runtime.station.writes import Writes
from tests.models import CLASSES
from tests.runtime.station.images import put


@pytest.mark.slow
def test_a_full_disk_stops_no_verdict_and_is_over_when_there_is_room(
    station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk verdicts go on; when there is room again explanations are stored again."""
    one = station()
    full = [True]
    real = Report.save

    def save(self: Report, *arguments: Any, **settings: Any) -> Any:
        if full[0]:
            raise OutputError("cannot be written (No space left on device)", hint="the disk is full")
        return real(self, *arguments, **settings)

    monkeypatch.setattr(Report, "save", save)
    put(tmp_path / "in", "a.png")
    one.run(once=True)
    assert one.degraded
    assert one.store.counts() == {"dropped": 1}
    full[0] = False
    put(tmp_path / "in", "b.png", 1)
    one.run(once=True)
    assert not one.degraded
    assert one.store.counts() == {"dropped": 1, "explained": 1}
    assert "not stored until" in caplog.text
    assert "stored again" in caplog.text


@pytest.mark.slow
def test_what_could_not_be_stored_is_said_so_and_stored_later(
    station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not told as if it were, and not forgotten: the row would say for ever that it waits."""
    one = station()
    real, full = one.store.finish, [True]

    def finish(*arguments: Any, **settings: Any) -> None:
        if full[0]:
            raise OutputError("database or disk is full")
        real(*arguments, **settings)

    monkeypatch.setattr(one.store, "finish", finish)
    put(tmp_path / "in", "a.png")
    while not (one._verdicts() or one.waiting):
        pass
    one._backlog.explain_next()
    assert station.events[-1].kind == "dropped"
    assert station.events[-1].stored is False
    assert one.store.counts() == {"waiting": 1}
    full[0] = False
    put(tmp_path / "in", "b.png", 1)
    while not (one._verdicts() or one.waiting):
        pass
    one._backlog.explain_next()
    assert one.store.counts() == {"dropped": 1, "explained": 1}


@pytest.mark.slow
@pytest.mark.parametrize("good", [True, False])
def test_a_verdict_that_could_not_be_stored_is_stored_later(
    station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: bool
) -> None:
    """Its row, its event for the receivers in the order of the frames, and its explanation if one is due."""
    one = station(Rule(good=tuple(CLASSES)) if good else None)
    real, full = one.store.add, [True]

    def add(*arguments: Any, **settings: Any) -> int:
        if full[0]:
            raise OutputError("database or disk is full")
        return int(real(*arguments, **settings))

    monkeypatch.setattr(one.store, "add", add)
    put(tmp_path / "in", "a.png")
    while not one._verdicts():
        pass
    (tmp_path / "in" / "z.png").write_bytes(b"no image")
    while not one._verdicts():
        pass
    assert one.degraded
    assert [(event.file, event.id) for event in station.events] == [("a.png", None), ("z.png", None)]
    full[0] = False
    put(tmp_path / "in", "b.png", 1)
    one.run(once=True)
    assert not one.degraded
    end = "verdict" if good else "explained"
    assert [(row.name, row.state) for row in one.store.rows()] == [
        ("a.png", end),
        ("z.png", "quarantined"),
        ("b.png", end),
    ]


def test_writes_are_in_order_and_what_follows_a_late_one_happens_once() -> None:
    """Also when what follows writes, too, and the disk is full again in between."""
    done: list[str] = []
    room = [0]
    writes = Writes()

    def write(name: str) -> str:
        if not room[0]:
            raise OutputError("the disk is full")
        room[0] -= 1
        done.append(name)
        return name

    def follow(name: str) -> None:
        writes.in_order(lambda: write(f"after {name}"))

    assert writes.in_order(lambda: write("1"), follow) == (False, None)
    assert writes.in_order(lambda: write("2"), follow) == (False, None)
    room[0] = 1
    assert not writes.retry(now=True)
    assert writes.degraded
    room[0] = 9
    assert writes.in_order(lambda: write("3"), follow) == (True, "3")
    assert done == ["1", "2", "after 1", "after 2", "3"]
    assert not writes.degraded


@pytest.mark.slow
def test_names_that_are_no_utf8_and_a_decoder_that_fails_oddly_stop_nothing(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good images get their verdicts, whatever their names' bytes; what one file raises is that file's."""
    put(tmp_path / "in", "a.png")
    os.rename(tmp_path / "in" / "a.png", os.fsencode(tmp_path / "in") + b"/\xff\xfe.png")  # noqa: PTH104 - bytes
    put(tmp_path / "in", "b.png", 1)
    put(tmp_path / "in", "odd.png", 2)
    real = ChildDecoder.load

    def load(self: ChildDecoder, path: str, *more: Any) -> Any:
        if path.endswith("odd.png"):
            raise ValueError("something that nobody thought of")
        return real(self, path, *more)

    monkeypatch.setattr(ChildDecoder, "load", load)
    words = [
        "watch",
        str(tiny_bundle),
        str(tmp_path / "in"),
        "-o",
        str(tmp_path / "out"),
        "--once",
        "--polling",
    ]
    assert run([*words, "--interval", "0.02", "--samples", "4"]) == 0
    with Store(tmp_path / "out") as store:
        assert {(row.name, row.state) for row in store.rows()} == {
            ("??.png", "explained"),
            ("b.png", "explained"),
            ("odd.png", "quarantined"),
        }


@pytest.mark.slow
def test_an_image_that_met_a_lack_of_descriptors_is_decoded_later(
    station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory for its pixels needs one, too."""
    one, tries = station(), [2]
    real = FileArrival.frame

    def frame(self: FileArrival) -> Any:
        tries[0] -= 1
        if tries[0] >= 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(self)

    monkeypatch.setattr(FileArrival, "frame", frame)
    put(tmp_path / "in", "a.png")
    one.run(once=True)
    assert [(row.name, row.state) for row in one.store.rows()] == [("a.png", "explained")]


@pytest.mark.slow
def test_a_share_that_is_away_is_told_of_once(
    station: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that goes away is logged once, and once when it is back; its frames are then explained."""
    one = station()
    (tmp_path / "in").rename(tmp_path / "away")
    for _ in range(5):
        one._verdicts()
    assert caplog.text.count("cannot be read") == 1
    (tmp_path / "away").rename(tmp_path / "in")
    put(tmp_path / "in", "a.png")
    one.run(once=True)
    assert caplog.text.count("gives frames again") == 1
    assert one.store.counts() == {"explained": 1}


class Locked:
    """A file that the system does not let anybody read until ``tries`` attempts were made."""

    def __init__(self, arrival: Any, tries: int, number: int = errno.EACCES) -> None:
        self.name, self.path = arrival.name, arrival.path
        self._arrival, self._tries, self._number = arrival, tries, number

    def sha256(self) -> str:
        """Raise, or return the hash."""
        self._tries -= 1
        if self._tries >= 0:
            raise FrameError("the file cannot be read") from OSError(self._number, "Permission denied")
        return str(self._arrival.sha256())

    def frame(self) -> Any:
        """Return the image."""
        return self._arrival.frame()


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO, errno.ESTALE])
def test_an_image_that_cannot_be_read_for_a_moment_is_not_written_off(
    station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It is tried again, and the log says so once; only when the time is over it is quarantined."""
    put(tmp_path / "in", "a.png")
    one = station()
    poll = one.source.poll
    monkeypatch.setattr(one.source, "poll", lambda: [Locked(arrival, 3, number) for arrival in poll()])
    one.run(once=True)
    assert [event.kind for event in station.events] == ["verdict", "explained"]
    monkeypatch.setattr(unread_module, "PATIENCE", 0.0)
    put(tmp_path / "in", "b.png", 1)
    one.run(once=True)
    assert station.events[-1].kind == "quarantined"


@pytest.mark.slow
def test_a_folder_a_day(station: Any, tmp_path: Path) -> None:
    """Frames are named by their folder; one that is moved into a folder below is not new."""
    put(tmp_path / "in", "a.png")
    (tmp_path / "in" / "27").mkdir()
    put(tmp_path / "in" / "27", "a.png", 1)
    one = station()
    one.run(once=True)
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / "27" / "old.png")
    (tmp_path / "in" / "27" / "old.png").rename(tmp_path / "in" / "27" / "a.png")
    one.run(once=True)
    verdicts = [event.file for event in station.events if event.kind == "verdict"]
    explained = [event.file for event in station.events if event.kind == "explained"]
    assert sorted(verdicts) == sorted(explained) == ["27/a.png", "a.png"]


def test_two_on_one_folder(tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second station on the same output folder exits with 5 and says why."""
    (tmp_path / "in").mkdir()
    with Store(tmp_path / "out"):
        command = ["watch", str(tiny_bundle), str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--once"]
        assert run(command) == 5
    assert "another process keeps its results there" in capsys.readouterr().err


@pytest.mark.slow
def test_the_clock_decides_nothing(station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven years back between two frames: order and retention go by the rows."""
    times = ["2026-01-01T00:00:00Z", "2019-01-01T00:00:00Z", "2027-01-01T00:00:00Z"]
    one = station(retention=RetentionTable(keep=2))
    for number, moment in enumerate(times):
        monkeypatch.setattr(watch_module, "now", lambda moment=moment: moment)
        put(tmp_path / "in", f"{number}.png", number)
        one.run(once=True)
    assert [row.name for row in one.store.rows("explained")] == ["1.png", "2.png"]


def test_leftovers_of_a_power_cut_are_removed(tmp_path: Path) -> None:
    """At the start, half-written files of the station are deleted, and files of others are kept."""
    with Store(tmp_path) as store:
        number = store.add("a.png", "1", "", state="waiting")
        (tmp_path / "00000001-a.json").write_text("{}")
        store.finish(number, "explained", stem="00000001-a")
        store.add("b.png", "2", "", state="waiting")
        (tmp_path / "00000002-b.explained.png").write_text("half")
        (tmp_path / ".00000002-b.json.x.part").write_text("half")
        for other in ("20261125-holiday.png", "00000003-mine.json", ".other.part"):
            (tmp_path / other).write_text("somebody else's")
    with Store(tmp_path) as store:
        assert store.removed == 2
        assert [row.state for row in store.rows()] == ["explained", "waiting"]
    left = {path.name for path in tmp_path.iterdir() if "index" not in path.name}
    assert left == {".lock", "00000001-a.json", "20261125-holiday.png", "00000003-mine.json", ".other.part"}


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_told(tiny_bundle: Path, tmp_path: Path) -> None:
    """Fifteen times at odd moments: what a line on stdout said is in the index, with its files whole."""
    folder, out = tmp_path / "in", tmp_path / "out"
    told: list[dict[str, Any]] = []
    for turn in range(15):
        put(folder, f"{turn}.png", turn)
        put(folder, f"{turn}b.png", 100 + turn)
        child = subprocess.Popen(
            [sys.executable, "-c", _WATCH, str(tiny_bundle), str(folder), str(out)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        line = child.stdout.readline()
        while turn % 5 == 4 and b'"explained"' not in line:  # however slow this machine is
            line += child.stdout.readline()
        time.sleep(0.01 * turn)
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read()
        child.wait()
        told += [json.loads(text) for text in (line + rest).splitlines() if text.endswith(b"}")]
    with Store(out) as store:
        rows = {row.id: row for row in store.rows()}
        for event in told:
            row = rows[int(event["id"])]
            assert row.name == event.get("file", row.name)
            if event["event"] in ("explained", "dropped"):
                assert row.state == event["event"]
        for row in store.rows("explained"):
            json.loads((out / f"{row.stem}.json").read_text())
            assert cv2.imread(str(out / f"{row.stem}.explained.png")) is not None
    assert {event["event"] for event in told} >= {"verdict", "explained"}
    check = sqlite3.connect(out / "index.sqlite")
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)


_WATCH = """
import sys
from gagrad_edge.cli import run
sys.exit(run(["watch", *sys.argv[1:3], "-o", sys.argv[3], "--json", "--interval", "0.01", "--samples", "4"]))
"""


@pytest.mark.slow
def test_sigterm_ends_it_cleanly(tiny_bundle: Path, tmp_path: Path) -> None:
    """SIGTERM ends a station with code 0 and a summary."""
    put(tmp_path / "in", "a.png")
    child = subprocess.Popen(
        [sys.executable, "-c", _WATCH, str(tiny_bundle), str(tmp_path / "in"), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 0
    assert "1 explained" in said or "1 waiting" in said


@pytest.mark.slow
def test_what_waited_is_explained_after_a_restart(station: Any, tmp_path: Path) -> None:
    """If its image is still there, and still the same."""
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        put(tmp_path / "in", name, number)
    first = station()
    first.source.poll()
    first._verdicts()
    assert first.store.counts() == {"waiting": 3}
    first.store.close()
    (tmp_path / "in" / "b.png").unlink()
    put(tmp_path / "in", "c.png", 9)
    second = station()
    second.run(once=True)
    assert [(row.name, row.state) for row in second.store.rows()] == [
        ("a.png", "explained"),
        ("b.png", "dropped"),
        ("c.png", "dropped"),
        ("c.png", "explained"),
    ]


def test_wrong_settings(tiny_bundle: Path, tmp_path: Path) -> None:
    """An output folder that is the source, and a class that the model lacks, exit with 2."""
    folder = str(tmp_path)
    assert run(["watch", str(tiny_bundle), folder, "-o", folder]) == 2
    assert run(["watch", str(tiny_bundle), folder, "-o", f"{folder}/out", "--good", "fine", "--once"]) == 2
