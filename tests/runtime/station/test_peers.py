"""Slow and silent peers hold nothing up: not health, not verdicts, not the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gagrad_runtime.station import endpoint as endpoint_module
from gagrad_runtime.station import lines as lines_module
from gagrad_runtime.station.config import MetricsTable, WebhookTable
from gagrad_runtime.station.endpoint import CLIENTS, Endpoint
from gagrad_runtime.station.lines import Lines
from gagrad_runtime.station.sinks import delivery as delivery_module
from gagrad_runtime.station.sinks.delivery import Delivery
from gagrad_runtime.station.sinks.webhook import Webhook
from gagrad_runtime.station.store import Store
from tests.runtime.station.images import put
from tests.runtime.station.receiving import add, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMIT = 60.0
"""Ends a test that would hang, seconds."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    metrics: Any = SimpleNamespace(idle=0.0, text=lambda: b"a 1\n" * 100_000)
    station: Any = SimpleNamespace(degraded=False, waiting=0)
    one = Endpoint(MetricsTable(port=0), metrics, station)
    yield one
    one.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=LIMIT)


def ask(port: int, request: bytes = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n") -> bytes:
    with connect(port) as client:
        client.sendall(request)
        answer = b""
        while data := client.recv(1 << 16):
            answer += data
        return answer


@pytest.mark.slow
def test_silent_clients_block_nobody(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Health is answered while many more clients than are kept say nothing; the oldest are closed."""
    monkeypatch.setattr(endpoint_module, "SECONDS", LIMIT)  # so that nothing but the number closes them
    silent = [connect(endpoint.port) for _ in range(3 * CLIENTS)]
    for client in silent[-5:]:
        client.sendall(b"GET /hea")
    assert ask(endpoint.port).startswith(b"HTTP/1.1 200 OK")
    assert [client.recv(1) for client in silent[:CLIENTS]] == [b""] * CLIENTS
    assert len(endpoint._clients) <= CLIENTS
    for client in silent:
        client.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such limits")
def test_few_descriptors_are_left_for_images(tiny_bundle: Path, tmp_path: Path) -> None:
    """A station of 64 descriptors gives verdicts while more clients than that are connected."""
    put(tmp_path / "in", "a.png")
    (tmp_path / "station.toml").write_text("[metrics]\nport = 0\n")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "from gagrad_edge.cli import run; sys.exit(run(sys.argv[1:]))"
    )
    words = [str(tiny_bundle), str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--json", "--samples", "4"]
    words += ["--config", str(tmp_path / "station.toml"), "--polling", "--interval", "0.02"]
    station = subprocess.Popen(
        [sys.executable, "-c", code, "watch", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert station.stdout is not None
    assert station.stderr is not None
    port = 0
    for line in station.stderr:
        if b"metrics and health" in line:
            port = int(line.rpartition(b":")[2])
            break
    clients = [connect(port) for _ in range(100)]
    put(tmp_path / "in", "b.png", 1)
    seen = [json.loads(station.stdout.readline()) for _ in range(4)]
    assert [event["event"] for event in seen].count("explained") == 2
    for client in clients:
        client.close()
    station.send_signal(signal.SIGTERM)
    assert station.wait(LIMIT) == 0


def test_a_client_has_a_time_for_all_of_it(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that drips nor one that does not read its answer keeps its connection."""
    monkeypatch.setattr(endpoint_module, "SECONDS", 0.3)
    with connect(endpoint.port) as dripping, connect(endpoint.port) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        until(lambda: _gone(dripping))
        until(lambda: not endpoint._clients)


def _gone(client: socket.socket) -> bool:
    """Send a byte; return whether the other end has closed the connection."""
    try:
        client.send(b"G")
    except OSError:
        return True
    return False


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /health HTTP/1.1\r\n\r\n", b"405"),
        (b"HEAD /health HTTP/1.1\r\n\r\n", b"200"),
        (b"GET /health?x=1 HTTP/1.1\r\n\r\n", b"200"),
        (b"\xff\xfe\r\n\r\n", b"405"),
        (b"GET\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", b""),
    ],
)
def test_odd_requests(endpoint: Endpoint, request_: bytes, status: bytes) -> None:
    """Each has an answer or a closed connection, and the next client an answer."""
    try:
        answer = ask(endpoint.port, request_)
    except OSError:
        answer = b""
    assert answer[9:12] == status
    if request_.startswith(b"HEAD"):
        assert answer.endswith(b"\r\n\r\n")
    assert b"200 OK" in ask(endpoint.port)


class Dripping:
    """A receiver that takes a request and sends ``beginning``, and then a byte now and then for ever."""

    def __init__(self, beginning: bytes) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._beginning, self.taken = beginning, 0
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._over = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._drip, args=(client,), daemon=True).start()

    def _drip(self, client: socket.socket) -> None:
        self.taken += 1
        with client:
            try:
                client.recv(1 << 16)
                client.sendall(self._beginning)
                while not self._over.wait(0.05):
                    client.send(b"x")
            except OSError:
                pass

    def close(self) -> None:
        """Close it."""
        self._over.set()
        self._listening.close()


@pytest.fixture
def dripping() -> Iterator[Callable[[bytes], Dripping]]:
    opened: list[Dripping] = []

    def make(beginning: bytes) -> Dripping:
        opened.append(Dripping(beginning))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "beginning", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nA: b", b"HTTP/1.1 100 C\r\n\r\n"]
)
def test_a_receiver_that_drips_is_given_up(
    tmp_path: Path, dripping: Callable[[bytes], Dripping], monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    """``timeout`` counts for the whole request; the event is not taken for delivered, and is tried again."""
    monkeypatch.setattr(delivery_module, "LONGEST_PAUSE", 0.1)
    receiver = dripping(beginning)
    with Store(tmp_path, sinks=["webhook"]) as store:
        add(store, 1)
        delivery = Delivery(store, [Webhook(WebhookTable(url=receiver.url, timeout=0.3), "s")], "s")
        until(lambda: receiver.taken >= 3)
        delivery.close()
        assert delivery.status["webhook"].waiting == 1
        assert not delivery._thread.is_alive()


@pytest.mark.slow
def test_a_receiver_that_drips_behind_its_answer_has_the_event(
    tmp_path: Path, dripping: Callable[[bytes], Dripping]
) -> None:
    """The status is the answer; what follows is not waited for."""
    receiver = dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    with Store(tmp_path, sinks=["webhook"]) as store:
        add(store, 2)
        delivery = Delivery(store, [Webhook(WebhookTable(url=receiver.url), "s")], "s")
        until(lambda: "webhook" in delivery.status and delivery.status["webhook"].waiting == 0)
        delivery.close()
        assert receiver.taken == 2


def test_a_reader_that_stands_still_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines beyond a number are left out and counted in the log; the others come in order."""
    monkeypatch.setattr(lines_module, "WAITING", 3)
    reads, got = threading.Event(), []

    def write(line: str) -> None:
        reads.wait(LIMIT)
        got.append(line)

    with Lines(write) as lines:
        lines.put("0")
        until(lines._lines.empty)
        for number in range(1, 9):
            lines.put(str(number))
        reads.set()
        until(lambda: len(got) == 4)
        lines.put("9")
    assert got == ["0", "1", "2", "3", "9"]
    assert "5 events were left out" in caplog.text


def test_so_many_characters_of_lines_wait_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long line is left out where others wait, and taken when they are read."""
    monkeypatch.setattr(lines_module, "CHARACTERS", 10)
    reads, got = threading.Event(), []

    def write(line: str) -> None:
        reads.wait(LIMIT)
        got.append(line)

    with Lines(write) as lines:
        lines.put("a")
        until(lines._lines.empty)
        for line in ("12345678", "left", "b"):
            lines.put(line)
        reads.set()
        until(lambda: len(got) == 3)
        lines.put("1234567890")
    assert got == ["a", "12345678", "b", "1234567890"]


@pytest.mark.parametrize("late", [True, False])
def test_what_writing_a_line_raises_is_raised_where_lines_come_from(late: bool) -> None:
    """At the next line or at the end, such as that the reader has left."""

    def write(_: str) -> None:
        raise BrokenPipeError

    def station() -> None:
        with Lines(write) as lines:
            lines.put("a")
            until(lambda: lines._error is not None)
            if late:
                lines.put("b")

    with pytest.raises(BrokenPipeError):
        station()


_WATCH = "import sys; from gagrad_edge.cli import run; sys.exit(run(sys.argv[1:]))"
_STUCK = """
import ctypes, sys
import gagrad_runtime.station.watch as watch
def stuck(*_):
    print("stuck", flush=True)
    while True:
        ctypes.CDLL(None).sleep(1000)  # in C, as an engine that compiles
watch.Watch._frame = stuck
from gagrad_edge.cli import run
sys.exit(run(sys.argv[1:]))
"""


def station(bundle: Path, tmp_path: Path, *options: str, code: str = _WATCH) -> subprocess.Popen[bytes]:
    put(tmp_path / "in", "a.png")
    command = [sys.executable, "-c", code, "watch", str(bundle), str(tmp_path / "in"), *options]
    command += ["-o", str(tmp_path / "out"), "--samples", "4", "--json", "--threads", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_step_that_does_not_end(tiny_bundle: Path, tmp_path: Path, number: int) -> None:
    """Also while the main thread is in an engine or a decoder, where Python calls no handler."""
    child = station(tiny_bundle, tmp_path, code=_STUCK)
    assert child.stdout is not None
    assert child.stdout.readline() == b"stuck\n"
    child.send_signal(number)
    assert child.wait(LIMIT) == 0


@pytest.mark.slow
def test_a_full_pipe_stops_neither_verdicts_nor_the_end(tiny_bundle: Path, tmp_path: Path) -> None:
    """Nobody reads the lines: all images get their rows, and SIGTERM ends the station."""
    for number in range(1, 40):
        put(tmp_path / "in", f"{number}.png", number)
    child = station(tiny_bundle, tmp_path, "--keep-rows", "1000", "--interval", "0.05")
    assert child.stdout is not None
    fcntl = pytest.importorskip("fcntl")
    fcntl.fcntl(child.stdout, 1031, 4096)  # F_SETPIPE_SZ
    until(lambda: len(list((tmp_path / "out").glob("*.json"))) >= 20)
    time.sleep(1)
    child.send_signal(signal.SIGTERM)
    assert child.wait(LIMIT) == 0
    child.stdout.close()
    with Store(tmp_path / "out") as store:
        assert len(store.rows()) == 40


@pytest.mark.slow
def test_an_idle_station_with_long_pauses_ends_at_once(tiny_bundle: Path, tmp_path: Path) -> None:
    """A signal is seen within a second, however seldom the folder is polled."""
    child = station(tiny_bundle, tmp_path, "--interval", "60", "--polling")
    until((tmp_path / "out" / "index.sqlite").exists)
    time.sleep(3)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait(LIMIT) in (0, -signal.SIGTERM)
    if child.stdout is not None:
        child.stdout.close()
