"""Random faults of one station's results: no frame without a verdict, no event's identity used again.

python -m benchmarks.soak.faults [COUNT]        (2 s each; writes its section of docs/soak.md)
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.soak.section import write_section
from benchmarks.soak.station import Watching, demo_bundle, put_image

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 1_000
SECONDS = 60.0
"""Longest wait for the verdicts of one fault's images."""


class Receiver:
    """A webhook's other end: the bodies by their key, and the keys that came with two bodies."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.reused: set[str] = set()
        self.verdicts: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                key, event = self.headers["Idempotency-Key"], json.loads(body)
                if receiver.bodies.setdefault(key, body) != body:
                    receiver.reused.add(key)
                if event["event"] == "verdict":
                    receiver.verdicts.add(event["file"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


def _index(out: Path) -> list[Path]:
    return list(out.glob("index.sqlite*"))


def _deleted(out: Path) -> None:
    for file in _index(out):
        file.unlink(missing_ok=True)


def _noise(out: Path) -> None:
    with (out / "index.sqlite").open("r+b") as file:
        file.write(os.urandom(os.fstat(file.fileno()).st_size))


def _noise_in_places(out: Path) -> None:
    with (out / "index.sqlite").open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        for place in range(4096, size, 12288):
            file.seek(place)
            file.write(os.urandom(512))


def _moved(out: Path) -> None:
    shutil.rmtree(out.with_name("moved"), ignore_errors=True)
    out.rename(out.with_name("moved"))


def _without_log(out: Path) -> None:
    for file in _index(out):
        if file.name != "index.sqlite":
            file.unlink()


RUNNING: dict[str, Callable[[Path], None]] = {
    "index deleted": _deleted,
    "index overwritten": _noise,
    "places of the index overwritten": _noise_in_places,
    "results deleted": lambda out: shutil.rmtree(out, ignore_errors=True),
    "results moved": _moved,
    "nothing": lambda _: None,
}
"""Faults while the station runs."""
STOPPED: dict[str, Callable[[Path], None]] = {**RUNNING, "log of the index deleted": _without_log}
"""Faults between a kill and the next start."""


class Trial:
    """One station in ``root``, its images and its receiver."""

    def __init__(self, root: Path) -> None:
        self.rng = np.random.default_rng(0)
        self.receiver = Receiver()
        self.faults = Counter[str]()
        self.without: list[str] = []
        self.starts = self.failed = 0
        self._bundle, self._frames, self._out = demo_bundle(root), root / "in", root / "out"
        self._frames.mkdir()
        self._config = root / "station.toml"
        table = f'[webhook]\nurl = "{self.receiver.url}"\ntimeout = 2.0\n'
        self._config.write_text(f'name = "soak"\n{table}')
        self._start()

    def turn(self, number: int) -> None:
        """Two images, a fault, two images, and the wait for their verdicts."""
        names = [f"{number:05d}-{each}" for each in range(4)]
        for name in names[:2]:
            put_image(self._frames, name, self.rng)
        time.sleep(float(self.rng.uniform(0.2, 1.0)))
        kind = self._fault()
        for name in names[2:]:
            put_image(self._frames, name, self.rng)
        end = time.monotonic() + SECONDS
        wanted = {f"{name}.png" for name in names}
        while not wanted <= self.receiver.verdicts and time.monotonic() < end:
            if self._watching.child.poll() is not None:
                self.failed += 1
                print(f"{number}: {kind}: {self._watching.log[-3:]}", flush=True)
                self._start()
            time.sleep(0.02)
        self.without += sorted(wanted - self.receiver.verdicts)
        for old in sorted(self._frames.iterdir())[:-8]:
            old.unlink(missing_ok=True)

    def end(self) -> float:
        """End the station by SIGTERM; return the seconds that it took."""
        began = time.monotonic()
        self._watching.child.send_signal(signal.SIGTERM)
        self._watching.end()
        self.receiver.server.shutdown()
        return time.monotonic() - began

    def _start(self) -> None:
        self.starts += 1
        self._watching = Watching(self._bundle, self._frames, self._out, "--config", str(self._config))

    def _fault(self) -> str:
        """Cause one; return its name."""
        kill = bool(self.rng.random() < 0.4)
        kinds = STOPPED if kill else RUNNING
        kind = str(self.rng.choice(list(kinds)))
        if kill:
            self._watching.kill()
        if (self._out / "index.sqlite").exists():
            self.faults[f"{kind}, {'killed' if kill else 'running'}"] += 1
            kinds[kind](self._out)
        if kill:
            self._start()
        return kind


def attempt(total: int, root: Path) -> dict[str, Any]:
    """Cause ``total`` faults; return what was found."""
    trial = Trial(root)
    for number in range(total):
        trial.turn(number)
        if number % 50 == 49:
            print(number + 1, len(trial.receiver.bodies), trial.without, trial.receiver.reused, flush=True)
    return {
        "seconds": trial.end(),
        "faults": trial.faults,
        "starts": trial.starts,
        "failed": trial.failed,
        "without": trial.without,
        "events": len(trial.receiver.bodies),
        "reused": len(trial.receiver.reused),
    }


def main() -> int:
    """Write the section, and return 1 if a frame had no verdict or an identity came twice."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as name:
        found = attempt(total, Path(name))
    kinds = "\n".join(f"| {kind} | {count} |" for kind, count in sorted(found["faults"].items()))
    text = f"""Images keep coming to one `gagrad-edge watch` with a webhook. Each time two images have come, something happens to its
results, and two more come. "Killed": with SIGKILL first, and started again afterwards.

| fault | times |
|---|---|
{kinds}

| | |
|---|---|
| starts | {found["starts"]} |
| ends of the station by itself | {found["failed"]} |
| images without a verdict at the receiver, {SECONDS:.0f} s later | {len(found["without"])} |
| events at the receiver | {found["events"]} |
| keys that came with two different events | {found["reused"]} |
| seconds from SIGTERM to the end | {found["seconds"]:.1f} |"""
    write_section("Damaged and deleted results", "python -m benchmarks.soak.faults", text, "onnxruntime")
    return 1 if found["without"] or found["reused"] or found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
