"""Nothing is lost and nothing doubled: a real station's delivery, and a viewer that is killed at any time."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gagrad_runtime.station.config import WebhookTable
from gagrad_runtime.station.events import VerdictEvent, now
from gagrad_runtime.station.sinks import delivery as deliveries
from gagrad_runtime.station.sinks.delivery import Delivery
from gagrad_runtime.station.sinks.webhook import Webhook
from gagrad_runtime.station.store import Store

pytestmark = pytest.mark.slow
KILLS, EVENTS = 4, 300
SECOND = """
import sys
from gagrad_edge.errors import GagradError
from gagrad_runtime.commands.viewer import viewer
try:
    viewer(standalone_mode=False)
except GagradError as error:
    sys.exit(str(error))
"""


def _start(data: Path, port: int) -> tuple[subprocess.Popen[str], int]:
    """Start a viewer; return its process and its port."""
    command = [sys.executable, "-c", "from gagrad_runtime.commands.viewer import viewer; viewer()"]
    process = subprocess.Popen(
        [*command, "--data", str(data), "--port", str(port)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
    assert found is not None, process.stderr.read()
    return process, int(found.group(1))


def _add(store: Store, first: int, count: int) -> None:
    """Store verdicts on ``count`` frames."""
    for number in range(first, first + count):
        name = f"part-{number}.png"
        event = VerdictEvent(
            time=now(), file=name, verdict="ok", probability=0.5, explain=False, seconds=0.25
        )
        store.add(
            name, f"{number:064x}", event.time, state="verdict", verdict="ok", probability=0.5, event=event
        )


def test_a_viewer_that_is_killed_loses_and_doubles_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kills at any time every event of the station is there once, each frame once, without a gap."""
    monkeypatch.setattr(deliveries, "LONGEST_PAUSE", 0.2)
    chance = random.Random(11)  # noqa: S311 - when to kill
    process, port = _start(tmp_path / "viewer", 0)
    sink = Webhook(WebhookTable(url=f"http://127.0.0.1:{port}/events", timeout=5.0), "line-4")
    store = Store(tmp_path / "station", sinks=["webhook"])
    delivery = Delivery(store, [sink], "line-4")
    try:
        for kill in range(KILLS):
            _add(store, kill * (EVENTS // KILLS), EVENTS // KILLS)
            delivery.wake()
            time.sleep(chance.uniform(0.05, 0.6))
            process.kill()
            process.wait()
            process, _ = _start(tmp_path / "viewer", port)
        until = time.monotonic() + 120
        while (status := delivery.status.get("webhook")) is None or status.waiting:
            assert time.monotonic() < until, "it took too long"
            delivery.wake()
            time.sleep(0.05)
        assert (status.dropped, status.refused) == (0, 0)
    finally:
        delivery.close()
        store.close()
        process.kill()
        process.wait()
    connection = sqlite3.connect(tmp_path / "viewer" / "viewer.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT count(*), min(sequence), max(sequence) FROM event").fetchone() == (
        EVENTS,
        1,
        EVENTS,
    )
    assert connection.execute("SELECT count(*), count(DISTINCT number) FROM frame").fetchone() == (
        EVENTS,
        EVENTS,
    )
    assert connection.execute("SELECT sum(frames) FROM hour WHERE station = 0").fetchone() == (EVENTS,)
    assert connection.execute("SELECT count(*) FROM gap").fetchone() == (0,)
    connection.close()


def test_a_second_viewer_on_the_data_is_refused(tmp_path: Path) -> None:
    """It ends with an error that says why, and the first one goes on."""
    process, _ = _start(tmp_path, 0)
    try:
        command = [sys.executable, "-c", SECOND, "--data", str(tmp_path), "--port", "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "another viewer keeps its data here" in done.stderr
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
