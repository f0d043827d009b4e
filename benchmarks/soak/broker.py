"""A receiver that is down while 1,000 events are stored, and a sender that is killed: all events arrive, in order.

python -m benchmarks.soak.broker [COUNT]        (a minute or two; writes its section of docs/soak.md)

The broker is Mosquitto, Debian's package of that name; the webhook's receiver is Python's http.server.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.soak.section import write_section
from benchmarks.table import markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNT = 1_000
KILLS = 20
_SENDER = """
import sys, time
from pathlib import Path
from gagrad_runtime.station.config import MqttTable, WebhookTable
from gagrad_runtime.station.events import VerdictEvent
from gagrad_runtime.station.sinks.delivery import Delivery
from gagrad_runtime.station.sinks.mqtt import Mqtt
from gagrad_runtime.station.sinks.webhook import Webhook
from gagrad_runtime.station.store import Store
folder, kind, port, end = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
sink = Mqtt(MqttTable(host="127.0.0.1", port=port), "s") if kind == "mqtt" else Webhook(WebhookTable(url=f"http://127.0.0.1:{port}/"), "s")
with Store(folder, sinks=[kind]) as store:
    delivery = Delivery(store, [sink], "s")
    for number in range(store.last, end):
        store.add(str(number), str(number), "", state="verdict", event=VerdictEvent(time="", file=str(number), verdict="ok", probability=None, explain=False, seconds=0.0))
        print(number, flush=True)
        delivery.wake()
    while delivery.status.get(kind) is None or delivery.status[kind].waiting:
        time.sleep(0.02)
    delivery.close()
"""


def main() -> int:
    """Run both receivers; return 1 if an event is missing or out of order, 2 if Mosquitto is not installed."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    broker = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if broker is None:
        print("not run: there is no mosquitto: apt-get install mosquitto", file=sys.stderr)
        return 2
    rows, bad = [], False
    for kind in ("mqtt", "webhook"):
        with tempfile.TemporaryDirectory() as name:
            started = _mosquitto(broker, Path(name)) if kind == "mqtt" else _hook
            for label, run in (("away", _away), ("killed", _killed)):
                got, seconds = run(Path(name) / label, kind, started, total)
                unique = list(dict.fromkeys(got))
                lost = total - len(set(got))
                disorder = sum(second < first for first, second in pairwise(unique))
                bad |= bool(lost or disorder)
                rows.append((kind, label, total, lost, disorder, len(got) - len(unique), f"{seconds:.1f}"))
                print(rows[-1], flush=True)
    text = f"""**away**: the receiver is down while the events are stored, comes up a second later, goes down when about half of the events have arrived, and comes up again. **killed**: the sender is killed with SIGKILL
{KILLS} times while it stores and sends. The receivers are a real Mosquitto and Python's http.server. "Out of order" counts first arrivals only.

{markdown(("receiver", "case", "events", "lost", "out of order", "received twice", "seconds until all were received"), rows)}
Delivery is at least once: receivers recognise repeated events by `epoch` and `sequence`."""
    write_section("Receivers that are away", "python -m benchmarks.soak.broker", text, "aiomqtt", "paho-mqtt")
    return int(bad)


def _away(folder: Path, kind: str, started: Callable[..., Any], total: int) -> tuple[list[int], float]:
    got: list[int] = []
    port = _free_port()
    sender = _sender(folder, kind, port, total)
    _read_until(sender, total)  # all stored, and nobody there
    time.sleep(1)
    began = time.monotonic()
    with started(port, got):
        _until(lambda: len(got) >= total // 2)
    time.sleep(1)
    with started(port, got):
        _until(lambda: len(set(got)) == total and sender.poll() is not None)
    return got, time.monotonic() - began


def _killed(folder: Path, kind: str, started: Callable[..., Any], total: int) -> tuple[list[int], float]:
    got: list[int] = []
    port = _free_port()
    rng = np.random.default_rng(0)
    began = time.monotonic()
    with started(port, got):
        for turn in range(KILLS):
            sender = _sender(folder, kind, port, total * (turn + 1) // KILLS)
            _read_until(sender, 1)
            time.sleep(float(rng.uniform(0, 0.3)))
            sender.send_signal(signal.SIGKILL)
            sender.wait()
        sender = _sender(folder, kind, port, total)
        _until(lambda: len(set(got)) == total and sender.poll() is not None)
    return got, time.monotonic() - began


def _sender(folder: Path, kind: str, port: int, end: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _SENDER, str(folder), kind, str(port), str(end)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _read_until(sender: subprocess.Popen[bytes], count: int) -> None:
    """Read ``count`` lines of the sender; each stands for a stored event."""
    for _ in range(count):
        if sender.stdout is None or not sender.stdout.readline():
            return


def _mosquitto(program: str, folder: Path) -> Callable[..., Any]:
    """Return a context manager that starts a broker on a port, and a subscriber that collects sequence numbers."""

    @contextmanager
    def started(port: int, got: list[int]) -> Iterator[None]:
        (folder / "mosquitto.conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\n"
            # Persistence: after a restart the broker still has the messages that it acknowledged, for a known subscriber.
            f"persistence true\npersistence_location {folder}/\nuser root\n"
        )
        child = subprocess.Popen([program, "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)
        _until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        listener = threading.Thread(target=lambda: asyncio.run(_listen(port, got)), daemon=True)
        listener.start()
        try:
            yield
        finally:
            child.terminate()
            child.wait()
            listener.join(timeout=5)

    return started


async def _listen(port: int, got: list[int]) -> None:
    import aiomqtt

    try:
        async with aiomqtt.Client("127.0.0.1", port, identifier="listener", clean_session=False) as client:
            await client.subscribe("gagrad-edge/s/verdict", qos=1)
            async for message in client.messages:
                got.append(int(json.loads(bytes(message.payload))["file"]))  # noqa: PERF401 - as they come
    except aiomqtt.MqttError:
        return  # the broker went down


@contextmanager
def _hook(port: int, got: list[int]) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(int(json.loads(body)["file"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
