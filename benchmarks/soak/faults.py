"""Random faults of one station: no frame without a verdict, no event lost, no event's identity used again.

python -m benchmarks.soak.faults [COUNT]        (4 s each; root and a C compiler for some; writes its section of docs/soak.md)

A fifth of the faults of the first half comes with SIGKILL; in the second half one process meets them all, and its memory
is compared at both ends.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.soak.fault_kinds import Place, running, small_disk, stopped, without_rights
from benchmarks.soak.section import write_section
from benchmarks.soak.station import Watching, demo_bundle, put_image
from benchmarks.table import markdown

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 1_000
SECONDS = 120.0
"""Longest wait for the verdicts of one fault's images."""
KILLED = 0.2
"""Share of the faults that come with SIGKILL, in the first half."""


class Receiver:
    """A webhook's other end: the bodies by their key, and the keys that came with two bodies."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.reused: set[str] = set()
        self.ended: set[str] = set()
        """Files with a verdict or in quarantine."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                key, event = self.headers["Idempotency-Key"], json.loads(body)
                if receiver.bodies.setdefault(key, body) != body:
                    receiver.reused.add(key)
                if event["event"] in ("verdict", "quarantined"):
                    receiver.ended.add(event["file"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


class Trial:
    """One station in ``root``, its images and its receiver."""

    def __init__(self, root: Path, total: int) -> None:
        self.rng = np.random.default_rng(0)
        self.receiver = Receiver()
        self.faults = Counter[str]()
        self.without: list[str] = []
        self.starts = self.failed = 0
        self.memory: dict[int, float] = {}
        """Megabytes after each fault of the second half, by the fault's number."""
        self._total = total
        self._bundle, frames, disk = demo_bundle(root), root / "in", root / "disk"
        frames.mkdir()
        self.place = Place(frames, disk / "out", disk, root / "clock", self.rng)
        self._config = root / "station.toml"
        receiver = f'[webhook]\nurl = "{self.receiver.url}"\ntimeout = 2.0\n'
        limits = "[retention]\nkeep = 10\nkeep_rows = 400\n[metrics]\nport = 0\n"
        self._config.write_text(f'name = "soak"\n{receiver}{limits}')
        self._start()

    def turn(self, number: int) -> None:
        """Two images, a fault, two images, and the wait for their verdicts."""
        names = [f"{number:05d}-{each}" for each in range(4)]
        for name in names[:2]:
            put_image(self.place.frames, name, self.rng)
        time.sleep(float(self.rng.uniform(0.1, 0.6)))
        kind, mend, more = self._fault(number)
        for name in names[2:]:
            put_image(self.place.frames, name, self.rng)
        if mend is not None:
            time.sleep(float(self.rng.uniform(0.2, 1.5)))
            mend()
        self._wait(number, kind, {f"{name}.png" for name in names} | more)
        for old in sorted(self.place.frames.iterdir())[:-8]:
            old.unlink(missing_ok=True)
        if 2 * number >= self._total and (used := self._watching.memory()):
            self.memory[number] = used

    def end(self) -> float:
        """End the station by SIGTERM; return the seconds that it took."""
        began = time.monotonic()
        self._watching.child.send_signal(signal.SIGTERM)
        self._watching.end()
        seconds = time.monotonic() - began
        self.receiver.server.shutdown()
        return seconds

    def growth(self) -> float:
        """Return by what share the memory of the second half's process grew, from its second tenth to its last."""
        used = [self.memory[number] for number in sorted(self.memory)]
        tenth = max(1, len(used) // 10)
        if len(used) < 3:
            return 0.0
        return statistics.median(used[-tenth:]) / statistics.median(used[tenth : 2 * tenth]) - 1

    def _wait(self, number: int, kind: str, wanted: set[str]) -> None:
        end = time.monotonic() + SECONDS
        while not wanted <= self.receiver.ended and time.monotonic() < end:
            if self._watching.child.poll() is not None:
                self.failed += 1
                print(f"{number}: {kind}: {self._watching.log[-3:]}", flush=True)
                self._start()
            time.sleep(0.02)
        if left := sorted(wanted - self.receiver.ended):
            print(f"{number}: {kind}: no verdict for {left}: {self._watching.log[-5:]}", flush=True)
        self.without += left

    def _start(self) -> None:
        self.starts += 1
        with self.place.faked():
            self._watching = Watching(
                self._bundle,
                self.place.frames,
                self.place.out,
                "--config",
                str(self._config),
                before=without_rights(),
                polling=False,
            )
        self.place.process = self._watching.child

    def _fault(self, number: int) -> tuple[str, Callable[[], None] | None, set[str]]:
        """Cause one; return its name, what ends it, and further files that are to have an end."""
        kill = bool(2 * number < self._total and self.rng.random() < KILLED)
        kinds = stopped(self.place) if kill else running(self.place)
        kind = str(self.rng.choice(list(kinds)))
        if kill:
            self._watching.kill()
        before = set(self.place.frames.iterdir())
        mend = None
        if (self.place.out / "index.sqlite").exists():
            self.faults[f"{kind}, {'killed' if kill else 'running'}"] += 1
            mend = kinds[kind](self.place)
        more = {path.name for path in set(self.place.frames.iterdir()) - before if path.suffix == ".png"}
        if kill:
            self._start()
        return kind, mend, more


def attempt(total: int, root: Path) -> dict[str, Any]:
    """Cause ``total`` faults; return what was found."""
    with small_disk(root / "disk"):
        trial = Trial(root, total)
        for number in range(total):
            trial.turn(number)
            if number % 50 == 49:
                print(
                    number + 1, len(trial.receiver.bodies), trial.without, trial.receiver.reused, flush=True
                )
        return {
            "seconds": trial.end(),
            "faults": trial.faults,
            "starts": trial.starts,
            "failed": trial.failed,
            "without": trial.without,
            "events": len(trial.receiver.bodies),
            "reused": len(trial.receiver.reused),
            "growth": trial.growth(),
            "memory": statistics.median(trial.memory.values()) if trial.memory else 0.0,
        }


def main() -> int:
    """Write the section, and return 1 if a frame had no verdict, or an identity came twice, or memory grew."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as name:
        found = attempt(total, Path(name))
    kinds = sorted({kind.rpartition(", ")[0] for kind in found["faults"]})
    rows = [[kind, found["faults"][f"{kind}, running"], found["faults"][f"{kind}, killed"]] for kind in kinds]
    text = f"""Images keep coming to one `gagrad-edge watch` with a webhook, metrics and retention. Each time two images have come, something happens, and two more come.
"Killed": with SIGKILL first, and started again afterwards. A full disk, an unreadable file and a folder without rights last up to 1.5 s.

{markdown(["fault", "while it runs", "killed"], rows)}
| | |
|---|---|
| faults | {sum(found["faults"].values())} |
| starts | {found["starts"]} |
| ends of the station by itself | {found["failed"]} |
| images for which neither a verdict nor a quarantine row came to the receiver, {SECONDS:.0f} s later | {len(found["without"])} |
| events at the receiver | {found["events"]} |
| keys that came with two different events | {found["reused"]} |
| memory of the process of the second half, median | {found["memory"]:.0f} MB |
| its growth, from the second tenth to the last (bar 5 %) | {found["growth"]:+.1%} |
| seconds from SIGTERM to the end (bar 5) | {found["seconds"]:.1f} |"""
    write_section("Damaged and deleted results", "python -m benchmarks.soak.faults", text, "onnxruntime")
    bad = found["without"] or found["reused"] or found["failed"] or found["growth"] > 0.05
    return 1 if bad or found["seconds"] > 5 else 0


if __name__ == "__main__":
    sys.exit(main())
