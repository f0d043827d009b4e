"""What a station says of itself: to systemd, to Prometheus, in its log; and the unit that runs it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gagrad_edge.cli import run
from gagrad_edge.errors import OutputError
from gagrad_runtime.station import endpoint as endpoint_module
from gagrad_runtime.station.config import LogTable, MetricsTable
from gagrad_runtime.station.endpoint import Endpoint
from gagrad_runtime.station.events import ExplainedEvent, SourceEvent, VerdictEvent
from gagrad_runtime.station.logs import set_up
from gagrad_runtime.station.metrics import Metrics
from gagrad_runtime.station.notify import Notifier
from gagrad_runtime.station.outbox import DeliveryStatus

UNIT = Path(__file__).parents[3] / "runtime" / "gagrad_runtime" / "install" / "gagrad-edge-watch.service"


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """Return the socket that systemd would listen on."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.bind(str(tmp_path / "notify"))
    one.settimeout(120)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return one


def test_the_watchdog_is_told_of_progress_only(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The systemd watchdog is notified of progress, at most once per interval, and of nothing else."""
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    notifier = Notifier()
    notifier.ready()
    assert systemd.recv(100) == b"READY=1"
    for _ in range(5):
        notifier.progress("busy")
    assert systemd.recv(100) == b"WATCHDOG=1\nSTATUS=busy"
    now += 0.11
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):  # nothing comes by itself
        systemd.recv(100)
    notifier.progress("still")
    assert systemd.recv(100) == b"WATCHDOG=1\nSTATUS=still"
    notifier.stopping()
    assert systemd.recv(100) == b"STOPPING=1"


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without NOTIFY_SOCKET, or with a socket that is not there, notifying does nothing."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    Notifier().ready()


@pytest.fixture
def station() -> Any:
    """Return what the metrics read of a station."""
    source = SimpleNamespace(frames=7, overwritten=2, reconnects=1, frozen=0)
    store = SimpleNamespace(kept=3, size=1000)
    return SimpleNamespace(source=source, store=store, waiting=4, degraded=False)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_and_health(station: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """/metrics shows events, queues and sinks; /health is 200 while frames move and 503 when stalled."""
    metrics = Metrics()
    delivery: Any = SimpleNamespace(connected={"mqtt": True}, status={"mqtt": DeliveryStatus(5, 1, 0)})
    metrics.observe(station, delivery)
    verdict = VerdictEvent(time="", file="a", verdict="ok", probability=None, explain=False, seconds=0.004)
    metrics.count(verdict)
    metrics.count(ExplainedEvent(time="", file="a", record="", picture="", rcap=None, samples=4, seconds=0.4))
    metrics.count(SourceEvent(time="", state="lost", source="rtsp://x", reason="r"))
    endpoint = Endpoint(MetricsTable(port=0), metrics, station)
    try:
        code, text = get(endpoint.port, "/metrics")
        assert code == 200
        for line in (
            'gagrad_station_events_total{event="verdict"} 1.0',
            'gagrad_station_verdicts_total{verdict="ok"} 1.0',
            'gagrad_station_verdict_seconds_bucket{le="0.005"} 1.0',
            'gagrad_station_events_total{event="source"} 1.0',
            "gagrad_station_explanation_seconds_sum 0.4",
            "gagrad_station_waiting 4.0",
            "gagrad_station_camera_frames 7.0",
            'gagrad_station_sink_waiting{sink="mqtt"} 5.0',
            'gagrad_station_sink_up{sink="mqtt"} 1.0',
        ):
            assert line in text.splitlines()
        code, text = get(endpoint.port, "/health")
        assert (code, json.loads(text)["alive"], json.loads(text)["waiting"]) == (200, True, 4)
        monkeypatch.setattr(endpoint_module, "STALLED", -1.0)
        assert get(endpoint.port, "/health")[0] == 503
        assert get(endpoint.port, "/")[0] == 404
        with pytest.raises(OutputError, match="cannot be served"):
            Endpoint(MetricsTable(port=endpoint.port), metrics, station)
    finally:
        endpoint.close()


def test_the_log_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With format json each log record is one JSON line with level, message, UTC time and traceback."""
    logger = logging.getLogger("gagrad_runtime.station.test")
    set_up(LogTable(format="json"))
    logger.info("part %d", 4)
    logger.debug("not said")
    try:
        raise ValueError("odd")
    except ValueError:
        logger.exception("it failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["message"]) == ("info", "part 4")
    assert first["time"].endswith("Z")
    assert "ValueError: odd" in second["exception"]


@pytest.mark.slow
def test_a_station_from_a_file(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--check starts nothing; what is wrong is said with its place."""
    (tmp_path / "in").mkdir()
    file = tmp_path / "station.toml"
    file.write_text(f'bundle = "{tiny_bundle}"\nsource = "in"\noutput = "out"\n[metrics]\nport = 0\n')
    assert run(["watch", "--config", str(file), "--check"]) == 0
    assert "all right" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
    assert run(["watch", "--config", str(file), "--once"]) == 0
    assert run(["watch", "--config", str(file), "--check", "--good", "nothing"]) == 2
    file.write_text(file.read_text().replace("port = 0", "prot = 0"))
    assert run(["watch", "--config", str(file)]) == 2
    assert f"{file}:5" in capsys.readouterr().err
    assert run(["watch", str(tiny_bundle)]) == 2
    assert "there is no source" in capsys.readouterr().err


@pytest.mark.slow
def test_a_station_under_systemd(tiny_bundle: Path, tmp_path: Path, systemd: socket.socket) -> None:
    """Ready, alive again and again, and stopping: what a unit of Type=notify waits for."""
    (tmp_path / "in").mkdir()
    code = "import sys; from gagrad_edge.cli import run; sys.exit(run(sys.argv[1:]))"
    command = ["watch", str(tiny_bundle), str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
    child = subprocess.Popen([sys.executable, "-c", code, *command, "--interval", "0.05"], env=environment)
    try:
        assert systemd.recv(200) == b"READY=1"
        for _ in range(3):
            assert systemd.recv(200).startswith(b"WATCHDOG=1\nSTATUS=0 explanations kept")
        child.terminate()
        assert child.wait(120) == 0
    finally:
        child.kill()
    said = b""
    while b"STOPPING" not in said:
        said = systemd.recv(200)
    assert threading.active_count() >= 1


def test_the_unit_is_sandboxed(tmp_path: Path) -> None:
    """As systemd-analyze rates it, 0 is best and 10 is worst; the bar is 2.0."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze here")
    text = UNIT.read_text()
    for mark in ("@PREFIX@", "@SETTINGS@", "@DATA@"):
        text = text.replace(mark, "/usr")
    (tmp_path / UNIT.name).write_text(text)
    command = [program, "security", "--offline=true", "--no-pager", str(tmp_path / UNIT.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (line,) = [line for line in done.stdout.splitlines() if "Overall exposure level" in line]
    assert float(line.split(":")[1].split()[0]) <= 2.0, done.stdout
    command = [program, "verify", "--man=no", str(tmp_path / UNIT.name)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    assert not [line for line in said if UNIT.name in line and "not executable" not in line]
