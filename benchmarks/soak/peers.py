"""200 slow and broken peers of 20 kinds: verdicts, the other receiver and the end do not wait for them.

python -m benchmarks.soak.peers [IMAGES]        (a minute for each of eleven runs; writes its section of docs/soak.md)

Times are worth something on a quiet machine only; what is lost or out of order, on each.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak.faults import Receiver
from benchmarks.soak.peer_kinds import CLIENTS, RECEIVERS, clients, receiver
from benchmarks.soak.section import write_section
from benchmarks.soak.station import Watching, demo_bundle, put_image
from benchmarks.table import markdown

CLIENTS_EACH, ATTEMPTS = 15, 5
"""Clients of a kind at a time, and attempts to deliver to a receiver of a kind."""
IMAGES = 150
PAUSE = 0.1
SECONDS = 120.0


class Broker:
    """As much of an MQTT broker as a station needs: it acknowledges, and keeps what comes."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._server.accept()
                threading.Thread(target=self._client, args=(peer,), daemon=True).start()

    def _client(self, peer: socket.socket) -> None:
        with suppress(OSError, struct.error, IndexError), peer, peer.makefile("rb") as stream:
            while first := stream.read(1):
                kind, length, shift = first[0] >> 4, 0, 0
                while True:
                    byte = stream.read(1)[0]
                    length |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                self._packet(peer, kind, first[0], stream.read(length))

    def _packet(self, peer: socket.socket, kind: int, first: int, body: bytes) -> None:
        if kind == 1:  # CONNECT, of version 3.1.1 or 5
            peer.sendall(b"\x20\x03\x00\x00\x00" if body[6] == 5 else b"\x20\x02\x00\x00")
        elif kind == 3:  # PUBLISH
            (topic,) = struct.unpack(">H", body[:2])
            number, rest = body[2 + topic : 4 + topic], body[4 + topic :]
            if b'"sequence"' in rest:  # and not whether the station is online
                self.bodies.append(json.loads(rest[rest.index(b"{") :]))
            if first & 6 == 2:
                peer.sendall(b"\x40\x02" + number)
        elif kind == 12:  # PINGREQ
            peer.sendall(b"\xd0\x00")


def main() -> int:
    """Run a station beside each pair of kinds; return 1 if something is lost, out of order or too late."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    rows, bad, plain = [], 0, 0.0
    with tempfile.TemporaryDirectory() as name:
        bundle = demo_bundle(Path(name))
        attempt(bundle, Path(name) / "warm", "none", "none", images)  # the first run fills the caches
        pairs = [("none", "none"), *zip(CLIENTS, RECEIVERS, strict=True), ("none", "none")]
        for number, (client, sink) in enumerate(pairs):
            found = attempt(bundle, Path(name) / f"{number}", client, sink, images)
            plain = plain or found["p99"]
            late = found["p99"] / plain - 1
            bad += bool(found["lost"] or found["end"] > 5 or late > 0.1 or found["health"] > 5)
            rows.append(
                [
                    client,
                    sink,
                    found["attempts"],
                    found["lost"],
                    f"{1e3 * found['p99']:.0f}",
                    f"{late:+.0%}",
                    f"{found['health']:.2f}",
                    f"{found['end']:.1f}",
                ]
            )
            print(rows[-1], flush=True)
    columns = [
        "clients",
        "receiver",
        "attempts",
        "lost or out of order",
        "p99 ms",
        "beside none",
        "health s",
        "SIGTERM s",
    ]
    text = f"""A station with metrics, a webhook and an MQTT broker gives verdicts on {images} images, one each {PAUSE} s. Beside it are {CLIENTS_EACH} clients of a kind at the metrics' port, which connect again whenever they are closed, and
the webhook's receiver is of a kind. Then it gets SIGTERM with all of them connected, and is started again with a receiver that works. "Lost or out of order" counts images without a verdict, at both
receivers in the end, and steps backwards in `sequence`. "p99" is from the image to its printed verdict, beside the first run without peers; the last one
shows how much that is by itself; "health" the longest answer of `/health`. The clients
that are closed at once connect again as fast as they can, and they run on the same two cores.

{markdown(columns, rows)}"""
    write_section("Slow and broken peers", "python -m benchmarks.soak.peers", text, "onnxruntime")
    return int(bad > 0)


def attempt(bundle: Path, root: Path, client: str, sink: str, images: int) -> dict[str, Any]:
    """Run a station beside peers of both kinds, end it, and run it again without them."""
    frames, out, rng = root / "in", root / "out", np.random.default_rng(0)
    frames.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    good, broker = Receiver(), Broker()
    with ExitStack() as stack:
        hook, times = stack.enter_context(receiver(sink)) if sink in RECEIVERS else (0, list[float]())
        url = f"http://127.0.0.1:{hook}/" if hook else good.url
        watching = _station(bundle, frames, out, root, url, broker.port, port)
        if client in CLIENTS:
            stack.enter_context(clients(client, port, CLIENTS_EACH))
        put, answers = dict[str, float](), list[float]()
        printed = printed_times(watching)
        for number in range(images):
            name = f"{number:04d}"
            put[f"{name}.png"] = time.monotonic()
            put_image(frames, name, rng)
            if number % 10 == 0:
                answers.append(_health(port))
            time.sleep(max(0.0, put[f"{name}.png"] + PAUSE - time.monotonic()))
        until = time.monotonic() + SECONDS
        wanted = ATTEMPTS if RECEIVERS.get(sink) is not None else 0
        while (len(printed) < images or len(times) < wanted) and time.monotonic() < until:
            time.sleep(0.05)
        began = time.monotonic()
        watching.child.send_signal(signal.SIGTERM)
        watching.end()
        end = time.monotonic() - began
    second = _station(bundle, frames, out, root, good.url, broker.port, port)
    until = time.monotonic() + SECONDS
    while not set(put) <= good.ended and time.monotonic() < until:
        time.sleep(0.05)
    second.child.send_signal(signal.SIGTERM)
    second.end()
    good.server.shutdown()
    broker.close()
    waits = [printed[name] - moment for name, moment in put.items() if name in printed]
    return {
        "attempts": len(times),
        "lost": len(set(put) - set(printed))
        + _faults(put, [json.loads(body) for body in good.bodies.values()])
        + _faults(put, broker.bodies),
        "p99": float(np.percentile(waits, 99)) if waits else SECONDS,
        "health": max(answers),
        "end": end,
    }


def _station(
    bundle: Path, frames: Path, out: Path, root: Path, url: str, mqtt: int, metrics: int
) -> Watching:
    config = root / "station.toml"
    receivers = f'[webhook]\nurl = "{url}"\ntimeout = 2.0\n[mqtt]\nhost = "127.0.0.1"\nport = {mqtt}\n'
    config.write_text(f'name = "soak"\n{receivers}[metrics]\nport = {metrics}\n')
    watching = Watching(bundle, frames, out, "--config", str(config), "--every", "1000000", polling=False)
    until = time.monotonic() + SECONDS
    while _health(metrics) > 5 and time.monotonic() < until:
        time.sleep(0.05)
    return watching


def _health(port: int) -> float:
    """Return how long the station took to say that it is healthy, seconds; beyond any bar where it did not."""
    began = time.monotonic()
    with (
        suppress(OSError, ValueError),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=20) as answer,
    ):
        if answer.status == 200:
            return time.monotonic() - began
    return 99.0


def printed_times(watching: Watching) -> dict[str, float]:
    """Return a dictionary that gets the time at which each verdict was printed."""
    printed = dict[str, float]()

    def run() -> None:
        seen = 0
        while watching.child.poll() is None or seen < len(watching.lines):
            for event in watching.lines[seen:]:
                seen += 1
                if event["event"] == "verdict":
                    printed[event["file"]] = time.monotonic()
            time.sleep(0.001)

    threading.Thread(target=run, daemon=True).start()
    return printed


def _faults(put: dict[str, float], bodies: list[dict[str, Any]]) -> int:
    """Return how many verdicts did not come to a receiver, and how often a first arrival came before an earlier event."""
    first: dict[tuple[str, int], None] = {}
    for body in bodies:
        first.setdefault((body["epoch"], body["sequence"]))
    back = sum(before[0] == after[0] and before[1] > after[1] for before, after in pairwise(first))
    return back + len(set(put) - {body["file"] for body in bodies if body["event"] == "verdict"})


if __name__ == "__main__":
    sys.exit(main())
