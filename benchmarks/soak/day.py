"""The results of one day at one frame per second, run as fast as possible: memory, latency and disk must not grow.

python -m benchmarks.soak.day [COUNT]        (86,400 take half an hour; writes its section of docs/soak.md)

A station in this process: frames made in memory, a verdict for each, an explanation for every tenth, at most 500 kept,
the outbox delivered to a receiver in another process, metrics counted. Each row of the table is a tenth of the day.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak.section import write_section
from benchmarks.soak.station import demo_bundle
from benchmarks.table import markdown
from gagrad_runtime import load
from gagrad_runtime.frame import Frame, load_frame
from gagrad_runtime.station.config import RetentionTable, WebhookTable
from gagrad_runtime.station.events import Event, ExplainedEvent, SourceEvent, VerdictEvent
from gagrad_runtime.station.explaining import Explaining
from gagrad_runtime.station.metrics import Metrics
from gagrad_runtime.station.rule import Rule
from gagrad_runtime.station.sinks.delivery import Delivery
from gagrad_runtime.station.sinks.webhook import Webhook
from gagrad_runtime.station.store import Store
from gagrad_runtime.station.watch import Watch

COUNT = 86_400
EVERY = 10
KEEP = 500
_RECEIVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@dataclass
class Made:
    """A frame of the pool under a number of its own."""

    name: str
    pixels: Frame
    path: None = None

    def sha256(self) -> str:
        """Return the frame's number in place of a hash, so that no two frames are equal."""
        return self.name

    def frame(self) -> Frame:
        """Return the pixels."""
        return self.pixels


@dataclass
class Day:
    """A source that gives ``count`` frames and records the time of each."""

    count: int
    pool: list[Frame]
    lossless: bool = True
    ended: bool = False
    given: int = 0
    since: float = 0.0
    tenths: list[dict[str, float]] = field(default_factory=list)

    def poll(self) -> list[Any]:
        """Return the next frame."""
        if self.given >= self.count:
            self.ended = True
            return []
        self.given += 1
        self.since = time.monotonic()
        return [Made(f"{self.given:06d}", self.pool[self.given % len(self.pool)])]

    def reload(self, name: str, sha256: str) -> None:
        """Return nothing: the station keeps them."""

    def wait(self, seconds: float) -> bool:  # noqa: ARG002 - a source's signature
        """Wait for nothing."""
        return False

    def events(self) -> list[SourceEvent]:
        """Return nothing."""
        return []

    def close(self) -> None:
        """Do nothing."""


def main() -> int:
    """Run the day; return 1 if memory, descriptors or latency grew beyond the bars."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    receiver = subprocess.Popen([sys.executable, "-c", _RECEIVER], stdout=subprocess.PIPE)
    try:
        return _day(total, receiver)
    finally:
        receiver.terminate()
        receiver.wait()


def _day(total: int, receiver: subprocess.Popen[bytes]) -> int:
    rng = np.random.default_rng(0)
    pool = [load_frame(rng.integers(0, 255, (240, 320, 3), np.uint8)) for _ in range(32)]
    rows: list[dict[str, float]] = []
    verdicts: list[float] = []
    explanations: list[float] = []
    metrics = Metrics()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        if receiver.stdout is None:
            raise RuntimeError("no pipe to the receiver")
        url = f"http://127.0.0.1:{int(receiver.stdout.readline())}/"
        sink = Webhook(WebhookTable(url=url), "day")
        out, source = root / "out", Day(total, pool)
        with (
            load(demo_bundle(root), device="cpu", threads=1) as explainer,
            Store(out, sinks=["webhook"]) as store,
        ):
            station = Watch(
                explainer,
                source,
                store,
                Rule(every=EVERY),
                explaining=Explaining({"samples": 4}),
                retention=RetentionTable(keep=KEEP),
            )
            delivery = Delivery(store, [sink], "day")
            metrics.observe(station, delivery)

            def on_event(event: Event) -> None:
                metrics.count(event)
                delivery.wake()
                if isinstance(event, VerdictEvent):
                    verdicts.append(time.monotonic() - source.since)
                    if source.given % (total // 10) == 0:
                        rows.append(_tenth(out, verdicts, explanations, delivery))
                        print(source.given, rows[-1], flush=True)
                elif isinstance(event, ExplainedEvent):
                    explanations.append(event.seconds)

            station.on_event = on_event
            station.run()
            until = time.monotonic() + 120
            while delivery.status["webhook"].waiting and time.monotonic() < until:
                time.sleep(0.1)
            delivery.close()
            status = delivery.status["webhook"]
            counts = store.counts()
    first, last = rows[1], rows[-1]
    growth = last["memory MB"] / first["memory MB"] - 1
    table = markdown(
        ("tenth", *first),
        [(index + 1, *(f"{value:.4g}" for value in row.values())) for index, row in enumerate(rows)],
    )
    text = f"""{total:,} frames, a verdict for each, an explanation for every {EVERY}th (4 samples of the demo model, one thread), {KEEP} of them kept; each of the {total + total // EVERY:,}
events delivered to a webhook on loopback.

{table}
From the second tenth to the last: memory {growth:+.1%} (bar 5 %), descriptors {first["descriptors"]:.0f} → {last["descriptors"]:.0f}, verdict {last["verdict ms"] / first["verdict ms"]:.2f}×,
explanation {last["explanation ms"] / first["explanation ms"]:.2f}×. Rows: {", ".join(f"{count} {state}" for state, count in sorted(counts.items()))}; waiting for the webhook at the end: {status.waiting}, dropped: {status.dropped}. Latencies are medians
from the frame's arrival to its stored verdict; other work ran on this machine."""
    write_section("A day", "python -m benchmarks.soak.day", text, "onnxruntime")
    flat = last["descriptors"] <= first["descriptors"] + 2
    return int(growth >= 0.05 or not flat or status.waiting > 0 or status.dropped > 0)


def _tenth(
    out: Path, verdicts: list[float], explanations: list[float], delivery: Delivery
) -> dict[str, float]:
    """Return the measurements at the end of a tenth of the day, and reset the counters for the next tenth."""
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    row = {
        "memory MB": memory / 1e6,
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "verdict ms": float(np.median(verdicts)) * 1e3,
        "p99 ms": float(np.percentile(verdicts, 99)) * 1e3,
        "explanation ms": float(np.median(explanations)) * 1e3,
        "index MB": (out / "index.sqlite").stat().st_size / 1e6,
        "log MB": (out / "index.sqlite-wal").stat().st_size / 1e6,
        "files": sum(1 for _ in out.iterdir()),
        "undelivered": delivery.status["webhook"].waiting if "webhook" in delivery.status else 0,
    }
    verdicts.clear()
    explanations.clear()
    return row


if __name__ == "__main__":
    sys.exit(main())
