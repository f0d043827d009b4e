"""Retention: the oldest go, what people labelled stays, and the sums stay right."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from gagrad_runtime.viewer import retention
from gagrad_runtime.viewer.queries import Filter
from gagrad_runtime.viewer.retention import Limits, Retention
from gagrad_runtime.viewer.viewer import Viewer
from tests.runtime.viewer.sending import explained, pictured, sent, value, verdict, viewing


def _filled(viewer: Viewer) -> None:
    """Send ten explained frames with pictures, of which the second has a label."""
    pictures = pictured()
    events = [
        one
        for number in range(1, 11)
        for one in (
            verdict(2 * number - 1, id=number, file=f"part-{number}.png"),
            explained(2 * number, number, **pictures),
        )
    ]
    assert set(sent(viewer, *events)) == {204}
    asyncio.run(viewer.queries.label(2, "dent", "hana"))


def _kept(viewer: Viewer) -> list[int]:
    return [row.id for row in asyncio.run(viewer.queries.history(Filter())).rows]


def _all(viewer: Viewer, limits: Limits) -> None:
    steps = Retention(viewer.database, limits)
    while steps.step():
        pass


def test_the_oldest_frames_go(tmp_path: Path) -> None:
    """Beyond the number of rows frames go with all that is theirs, but for labelled ones and the counters."""
    with viewing(tmp_path) as viewer:
        _filled(viewer)
        _all(viewer, Limits(keep_rows=4, disk_share=None))
        assert _kept(viewer) == [10, 9, 8, 7, 2]
        assert len(list(tmp_path.glob("pictures/*/*"))) == 15
        assert value(viewer, "SELECT count(*) FROM detail") == 5
        assert value(viewer, "SELECT count(*) FROM caution") == 5
        assert value(viewer, "SELECT frames FROM family") == 5
        assert value(viewer, "SELECT count(*) FROM sought WHERE sought MATCH 'part'") == 5
        assert asyncio.run(viewer.queries.hours(0, 1 << 40))[0].frames == 10
        assert asyncio.run(viewer.queries.history(Filter(text="part-3"))).rows == ()
        assert value(viewer, "SELECT sum(bytes) FROM frame") == value(viewer, "SELECT value FROM total")
        # A repetition of an event whose frame is gone does not bring it back.
        assert sent(viewer, verdict(1, id=1, file="part-1.png")) == [204]
        assert len(_kept(viewer)) == 5


def test_old_frames_go_by_their_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that came in before the limit go; the newest stays in any case."""
    with viewing(tmp_path) as viewer:
        _filled(viewer)
        _all(viewer, Limits(keep_days=1, disk_share=None))
        assert len(_kept(viewer)) == 10
        later = retention.time.time() + 2 * 86400
        monkeypatch.setattr(retention.time, "time", lambda: later)
        _all(viewer, Limits(keep_days=1, disk_share=None))
        assert _kept(viewer) == [10, 2]


def test_pictures_go_before_frames(tmp_path: Path) -> None:
    """Beyond the megabytes the oldest pictures go, and their rows stay."""
    with viewing(tmp_path) as viewer:
        _filled(viewer)
        size = value(viewer, "SELECT value FROM total")
        _all(viewer, Limits(max_mb=size * 0.55 / 1e6, disk_share=None))
        rows = asyncio.run(viewer.queries.history(Filter())).rows
        assert [row.id for row in rows if row.pictures] == [10, 9, 8, 7, 2]
        assert len(rows) == 10


def test_a_disk_that_fills_loses_the_oldest_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the share of the disk pictures go until it would be below."""
    with viewing(tmp_path) as viewer:
        _filled(viewer)
        size = value(viewer, "SELECT value FROM total")
        disk = SimpleNamespace(used=950 + size * 0.3, free=50 - size * 0.3)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
        Retention(viewer.database, Limits(disk_share=0.95)).step()
        rows = asyncio.run(viewer.queries.history(Filter())).rows
        assert [row.id for row in rows if not row.pictures] == [4, 3, 1]


def test_events_that_nobody_sends_again_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an epoch that goes on the newest are known; of one that ended long ago none."""
    monkeypatch.setattr(retention, "REPEATS", 5)
    with viewing(tmp_path) as viewer:
        sent(viewer, *(verdict(number) for number in range(1, 21)))
        _all(viewer, Limits(disk_share=None))
        assert value(viewer, "SELECT min(sequence) FROM event") == 15
        later = retention.time.time() + 61 * 86400
        monkeypatch.setattr(retention.time, "time", lambda: later)
        _all(viewer, Limits(disk_share=None))
        assert value(viewer, "SELECT count(*) FROM event") == 0
