"""Shared by the fault tests of a station: a bundle, a stream of images, and the check of the stored results."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gagrad_export import export
from gagrad_runtime.station.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

DEMO = Path(__file__).parent.parent.parent / "gagrad_edge" / "demo" / "defects.onnx"
_WATCH = "import sys; from gagrad_edge.cli import run; sys.exit(run(sys.argv[1:]))"


def demo_bundle(folder: Path) -> Path:
    """Export the demo model into ``folder``."""
    export(DEMO, folder / "demo.gagrad")
    return folder / "demo.gagrad"


def put_image(folder: Path, name: str, rng: np.random.Generator, mode: int = 0o644) -> None:
    """Put an image into ``folder`` as a camera does: written under a hidden name, then renamed."""
    pixels = rng.integers(0, 255, (120, 160, 3), np.uint8)
    cv2.imwrite(str(folder / f".{name}.png"), pixels)
    (folder / f".{name}.png").chmod(mode)
    (folder / f".{name}.png").rename(folder / f"{name}.png")


class Watching:
    """A `gagrad-edge watch` in a child process, and the lines that it has printed so far."""

    def __init__(
        self,
        bundle: Path,
        source: Path,
        out: Path,
        *options: str,
        before: Sequence[str] = (),
        polling: bool = True,
    ) -> None:
        command = [sys.executable, "-c", _WATCH, "watch", str(bundle), str(source), "-o", str(out), "--json"]
        fast = ["--interval", "0.02", "--samples", "4", "--threads", "1", *["--polling"] * polling]
        self.child = subprocess.Popen(
            [*before, *command, *fast, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.lines: list[dict[str, Any]] = []
        self.log: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, count: int, seconds: float = 60.0) -> None:
        """Wait until ``watch`` has printed this many lines. Raises RuntimeError if it ends first or is too slow."""
        until = time.monotonic() + seconds
        while len(self.lines) < count:
            if self.child.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{len(self.lines)} lines, exit code {self.child.poll()}: {self.log[-5:]}")
            time.sleep(0.005)

    def memory(self) -> float:
        """Return the process's resident memory in megabytes; 0 when it has ended."""
        with suppress(OSError, IndexError):
            pages = int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        return 0.0

    def kill(self) -> None:
        """Kill the process, and read the rest of its lines."""
        self.child.kill()
        self.end()

    def end(self) -> int:
        """Wait for the end of the process and return its exit code."""
        code = self.child.wait()
        for reader in self._readers:
            reader.join()
        return code

    def _read(self) -> None:
        if self.child.stdout is not None:
            for line in self.child.stdout:
                if line.endswith(b"}\n"):
                    self.lines.append(json.loads(line))

    def _read_log(self) -> None:
        if self.child.stderr is not None:
            for line in self.child.stderr:
                self.log.append(line.decode(errors="replace").rstrip())


def look(
    out: Path, printed: list[dict[str, Any]], sinks: Sequence[str] = ()
) -> tuple[int, int, dict[str, int]]:
    """Return the printed lines that the index contradicts, the incomplete files and indexes, and the row states."""
    with Store(out, sinks=sinks) as store:
        rows = {row.id: row for row in store.rows()}
        counts = store.counts()
    lost = 0
    for event in printed:
        if event.get("id") is None or not event.get("stored", True):  # the line says that it was not stored
            continue
        row = rows.get(int(event["id"]))
        ended = event["event"] in ("explained", "dropped", "failed", "quarantined")
        # An explanation may have been removed since by the retention rules.
        fair = {event["event"], "dropped"} if event["event"] == "explained" else {event["event"]}
        lost += row is None or (ended and row.state not in fair)
    half = sum(_half(out, row.stem) for row in rows.values() if row.state == "explained")
    index = sqlite3.connect(out / "index.sqlite")
    half += index.execute("PRAGMA integrity_check").fetchone() != ("ok",)
    index.close()
    return lost, half, counts


def _half(out: Path, stem: str) -> bool:
    try:
        json.loads((out / f"{stem}.json").read_text())
    except (OSError, ValueError):
        return True
    return cv2.imread(str(out / f"{stem}.explained.png")) is None
