"""The loop, its store and its folder: what comes in, what is kept, what a fault leaves behind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from gagrad_edge.cli import run
from gagrad_edge.errors import ModelError
from gagrad_runtime.station import watch as watch_module
from gagrad_runtime.station.condition import read_condition
from gagrad_runtime.station.config import RetentionTable
from gagrad_runtime.station.explaining import Explaining
from gagrad_runtime.station.rule import Rule
from tests.runtime.station.images import put


def test_each_image_gets_a_verdict_and_an_explanation(station: Any, tmp_path: Path) -> None:
    """Each image of the folder gets a verdict, a record and a picture; other files are ignored."""
    for number in range(3):
        put(tmp_path / "in", f"part {number}.png", number)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    one = station()
    one.run(once=True)
    rows = one.store.rows()
    assert [row.state for row in rows] == ["explained"] * 3
    for row in rows:
        record = json.loads((tmp_path / "out" / f"{row.stem}.json").read_text())
        assert record["target"]["name"] == row.verdict
        assert (tmp_path / "out" / f"{row.stem}.explained.png").stat().st_size > 100
        assert row.bytes > 1000
    kinds = [event.kind for event in station.events]
    assert sorted(kinds) == ["explained"] * 3 + ["verdict"] * 3
    assert kinds[0] == "verdict"


@pytest.mark.slow
def test_what_was_seen_is_not_explained_again(station: Any, tmp_path: Path, tiny_bundle: Path) -> None:
    """After a restart the same image is skipped; another image under the same name is explained."""
    put(tmp_path / "in", "a.png")
    assert run(["watch", str(tiny_bundle), str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--once"]) == 0
    put(tmp_path / "in", "b.png", 1)
    one = station()
    one.run(once=True)
    assert [event.file for event in station.events if event.kind == "verdict"] == ["b.png"]
    put(tmp_path / "in", "a.png", 2)  # the same name, another image
    one.run(once=True)
    assert [row.name for row in one.store.rows("explained")] == ["a.png", "b.png", "a.png"]


def test_what_makes_a_part_ng_is_explained(station: Any, tmp_path: Path) -> None:
    """A condition that holds gives ng and reason, and its class is explained, not the verdict's."""
    put(tmp_path / "in", "a.png")
    plain = station()
    said = plain.explainer.predict(tmp_path / "in" / "a.png")
    second, chance = said.classes[1]
    spec = plain.explainer.manifest.output
    text = f"{second} > {chance / 2}"
    plain.rule = Rule(ng=(read_condition(text, spec, where="x"),))
    plain.run(once=True)
    verdict, explained = station.events
    assert (verdict.ng, verdict.reason, verdict.verdict) == (True, text, said.verdict)
    record = json.loads((tmp_path / "out" / explained.record).read_text())
    assert (record["target"]["name"], record["predicted"]["name"]) == (second, said.verdict)


def test_a_part_that_no_condition_fits_is_not_explained(station: Any, tmp_path: Path) -> None:
    """With conditions a good part has its verdict and no explanation, unless it is unsure."""
    put(tmp_path / "in", "a.png")
    one = station()
    name = one.explainer.predict(tmp_path / "in" / "a.png").verdict
    one.rule = Rule(ng=(read_condition(f"{name} > 1", one.explainer.manifest.output, where="x"),))
    one.run(once=True)
    assert [row.state for row in one.store.rows()] == ["verdict"]
    assert station.events[0].ng is False
    assert station.events[0].reason is UNSET


def test_what_is_no_image_is_put_aside(station: Any, tmp_path: Path) -> None:
    """A file that cannot be decoded is moved to quarantine with its reason, and the next is explained."""
    (tmp_path / "in" / "bad.png").write_bytes(b"\x89PNG and no more")
    put(tmp_path / "in", "good.png")
    one = station()
    one.run(once=True)
    states = {row.name: row.state for row in one.store.rows()}
    assert states == {"bad.png": "quarantined", "good.png": "explained"}
    assert (tmp_path / "out" / "quarantine" / "bad.png").read_bytes().startswith(b"\x89PNG")
    assert "bad.png" in (tmp_path / "out" / "quarantine" / "bad.png.txt").read_text()


def test_a_frame_that_the_model_gives_no_number_for_stops_nothing(station: Any, tmp_path: Path) -> None:
    """A frame whose scores are not finite is stored as failed, and the next is explained."""
    put(tmp_path / "in", "a.png")
    put(tmp_path / "in", "b.png", 1)
    one = station()
    real = one.explainer.judge

    def judge(frame: Any) -> Any:
        if frame.name == "a.png":
            raise ModelError("the model's scores are not finite numbers")
        return real(frame)

    one.explainer.judge = judge
    one.run(once=True)
    assert {row.name: row.state for row in one.store.rows()} == {"a.png": "failed", "b.png": "explained"}


def test_a_name_that_is_no_text(station: Any, tmp_path: Path) -> None:
    """A file name that is not valid UTF-8 is stored with a replacement character."""
    put(tmp_path / "in", "a.png")
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / os.fsdecode(b"part\xff.png"))
    one = station()
    one.run(once=True)
    assert [(row.name, row.state) for row in one.store.rows()] == [("part?.png", "explained")]


def test_verdicts_come_before_explanations_and_the_queue_is_bounded(station: Any, tmp_path: Path) -> None:
    """All verdicts come first; of the waiting frames the newest that fit the queue are explained."""
    for number in range(6):
        put(tmp_path / "in", f"{number}.png", number)
    one = station(queue=2)
    one.run(once=True)
    kinds = [event.kind for event in station.events]
    assert kinds.index("explained") > max(index for index, kind in enumerate(kinds) if kind == "verdict")
    assert one.store.counts() == {"dropped": 4, "explained": 2}
    assert [row.name for row in one.store.rows("explained")] == ["4.png", "5.png"]


def test_a_verdict_does_not_wait_for_an_explanation(station: Any, tmp_path: Path) -> None:
    """A frame that comes while another is explained gets its verdict before that is done."""
    put(tmp_path / "in", "first.png")
    one = station(explaining=Explaining({"samples": 64}))
    refine = one.explainer.refine
    shown = []

    def slow(*arguments: Any, **settings: Any) -> Any:
        for explanation in refine(*arguments, **settings):
            if not shown:
                put(tmp_path / "in", "second.png", 1)
                one.source.poll()
            shown.append(1)
            yield explanation

    one.explainer.refine = slow
    one.run(once=True)
    order = [(event.kind, event.file) for event in station.events]
    assert order.index(("verdict", "second.png")) < order.index(("explained", "first.png"))


@pytest.mark.slow
def test_the_oldest_explanations_make_room_and_stay_known(station: Any, tmp_path: Path) -> None:
    """Retention deletes the files of the oldest explanations and keeps their rows."""
    for number in range(5):
        put(tmp_path / "in", f"{number}.png", number)
    one = station(retention=RetentionTable(keep=2))
    one.run(once=True)
    assert [row.name for row in one.store.rows("explained")] == ["3.png", "4.png"]
    assert len(list((tmp_path / "out").glob("0*.json"))) == 2
    assert len(one.store.rows()) == 5


@pytest.mark.slow
@pytest.mark.parametrize(("used", "left"), [(85, 3), (91, 0)])
def test_the_share_of_the_disk_is_that_of_df(
    station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: int, left: int
) -> None:
    """What the file system keeps for itself is not used: explanations stay while there is room."""
    disk = type("Usage", (), {"total": 200, "used": used, "free": 100 - used})
    monkeypatch.setattr("gagrad_runtime.station.retention.shutil.disk_usage", lambda _: disk)
    for number in range(3):
        put(tmp_path / "in", f"{number}.png", number)
    one = station(retention=RetentionTable(disk_share=0.9))
    one.run(once=True)
    assert len(one.store.rows("explained")) == left


@pytest.mark.slow
def test_rows_are_kept_within_their_limit_on_a_good_line(station: Any, tmp_path: Path) -> None:
    """Also where nothing is ever explained; the newest rows stay."""
    for number in range(12):
        put(tmp_path / "in", f"{number:02}.png", number)
    one = station(retention=RetentionTable(keep_rows=3))
    one.rule = Rule(ng=(read_condition("dent > 1", one.explainer.manifest.output, where="x"),))
    for _ in range(4):  # a folder is polled as a whole, and images come over time
        one.run(once=True)
    assert len(one.store.rows()) == 3


@pytest.mark.slow
def test_the_quarantine_is_bounded(station: Any, tmp_path: Path) -> None:
    """By quarantine_mb and by max_mb; explanations stay."""
    put(tmp_path / "in", "good.png")
    for number in range(8):
        (tmp_path / "in" / f"bad{number}.png").write_bytes(bytes(500_000))
    one = station(retention=RetentionTable(max_mb=1))
    one.run(once=True)
    kept = sum(path.stat().st_size for path in (tmp_path / "out" / "quarantine").iterdir())
    assert 500_000 <= kept <= 1_000_000
    states = [row.state for row in one.store.rows()]
    assert (states.count("quarantined"), states.count("explained")) == (8, 1)


@pytest.mark.slow
def test_a_link_is_not_copied(station: Any, tmp_path: Path) -> None:
    """Whoever may write to the folder of images gets no copy of another file; only the reason is kept."""
    (tmp_path / "secret").write_text("a password")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "secret")
    with (tmp_path / "in" / "large.png").open("wb") as file:
        file.truncate(6 << 30)
    station().run(once=True)
    names = {path.name for path in (tmp_path / "out" / "quarantine").iterdir()}
    assert "link.png" not in names
    assert "large.png" not in names
    assert "is a link" in (tmp_path / "out" / "quarantine" / "link.png.txt").read_text()


def test_memory_is_given_back_once_when_no_frame_comes(station: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; a frame that comes makes the while begin again."""
    monkeypatch.setattr(watch_module, "RESTING", 0.045)
    watch = station()
    rested: list[int] = []
    steps: list[int] = []
    monkeypatch.setattr(watch.explainer, "rest", lambda: rested.append(len(steps)))

    def step() -> None:
        steps.append(1)
        if len(steps) > 40:
            watch.stop()

    watch.on_progress = step
    watch.run()
    assert len(rested) == 1
    assert rested[0] >= 5
