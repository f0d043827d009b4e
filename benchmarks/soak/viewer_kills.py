"""A viewer and the station that feeds it, each killed at random moments: nothing is lost or doubled on the page.

python -m benchmarks.soak.viewer_kills [COUNT]    (COUNT kills of each; writes its section of docs/soak.md)
"""

from __future__ import annotations

import csv
import io
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.soak.section import write_section
from benchmarks.soak.station import Watching, demo_bundle, put_image
from gagrad_runtime.station.store import Store

COUNT = 100
FRAMES = 3
"""Frames that come before each kill."""
_VIEWER = "from gagrad_runtime.commands.viewer import viewer; viewer()"


class Found(NamedTuple):
    """What the page says beside what the station's index says."""

    rows: int
    lost: int
    doubled: int
    differing: int
    """Frames with another state on the page."""
    missing: int
    """Events that the page says never came."""
    states: dict[str, int]


class Viewer:
    """A viewer in a process of its own, always at the same port."""

    def __init__(self, data: Path) -> None:
        self.data = data
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens. Raises RuntimeError."""
        command = [sys.executable, "-c", _VIEWER, "--data", str(self.data), "--port", str(self.port)]
        self.child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = self.child.stderr.readline() if self.child.stderr else ""
        if not re.search(r"http://127\.0\.0\.1", line):
            raise RuntimeError(f"the viewer did not start: {line}")

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.child.kill()
        self.child.wait()
        if self.child.stderr:
            self.child.stderr.close()

    def page(self) -> list[dict[str, str]]:
        """Return the rows of the history."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/export/history.csv", timeout=60) as answer:
            return list(csv.DictReader(io.StringIO(answer.read().decode("utf-8-sig"))))


def settled(viewer: Viewer, frames: int, seconds: float = 300.0) -> None:
    """Wait until the page has so many frames and none waits any more, or the time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rows = viewer.page()
        if len(rows) >= frames and not any(row["state"] == "waiting" for row in rows):
            return
        time.sleep(1)


def compared(viewer: Viewer, out: Path) -> Found:
    """Return what the page has, beside the station's index."""
    with Store(out, sinks=["webhook"]) as store:
        rows = {row.name: row.state for row in store.rows()}
    page = viewer.page()
    names = Counter(row["name"] for row in page)
    states = {row["name"]: row["state"] for row in page}
    connection = sqlite3.connect(viewer.data / "viewer.sqlite")
    (missing,) = connection.execute("SELECT coalesce(sum(before - after - 1), 0) FROM gap").fetchone()
    connection.close()
    return Found(
        rows=len(rows),
        lost=sum(name not in names for name in rows),
        doubled=sum(count - 1 for count in names.values()),
        differing=sum(name in states and states[name] != state for name, state in rows.items()),
        missing=missing,
        states=Counter(rows.values()),
    )


def run(root: Path, kills: int) -> Found:
    """Kill viewer and station ``kills`` times each; return what is then on the page."""
    rng = np.random.default_rng(0)
    bundle, frames, out = demo_bundle(root), root / "in", root / "out"
    frames.mkdir()
    viewer = Viewer(root / "data")
    config = root / "station.toml"
    config.write_text(
        f'name = "line-1"\n[webhook]\nurl = "http://127.0.0.1:{viewer.port}/events"\npicture = true\ntimeout = 5\n'
    )
    station = Watching(bundle, frames, out, "--config", str(config))
    put = 0
    try:
        for turn in range(kills):
            for number in range(FRAMES):
                put_image(frames, f"{turn:05d}-{number}", rng)
                put += 1
            station.wait_for(len(station.lines) + 1)
            time.sleep(float(rng.uniform(0, 1.0)))
            killed = (station.kill, viewer.kill) if turn % 2 else (viewer.kill, station.kill)
            for kill in killed:
                kill()
                time.sleep(float(rng.uniform(0, 0.5)))
            station = Watching(bundle, frames, out, "--config", str(config))
            time.sleep(float(rng.uniform(0, 1.0)))
            viewer.start()
            if turn % 10 == 9:
                print(turn + 1, put, len(viewer.page()), flush=True)
        settled(viewer, put)
        station.child.terminate()
        station.end()
        return compared(viewer, out)
    finally:
        station.child.kill()
        viewer.kill()


def main() -> int:
    """Kill, compare, and return 1 if anything was lost, doubled or different."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as name:
        found = run(Path(name), kills)
    text = f"""`gagrad-edge watch` explains images that keep coming, and sends its events with pictures to `gagrad-edge viewer`. Up to a second after a new
result both are killed with SIGKILL, up to half a second apart, in turn the one or the other first, and started again. At the end the viewer's history is compared with the station's index.

| | |
|---|---|
| kills of the station / of the viewer | {kills} / {kills} |
| frames in the station's index | {found.rows} ({", ".join(f"{count} {state}" for state, count in sorted(found.states.items()))}) |
| of these missing on the page | {found.lost} |
| more than once on the page | {found.doubled} |
| with another state on the page | {found.differing} |
| events that the page shows as a gap | {found.missing} |

The processes are killed, not the machine."""
    write_section(
        "Kills of a viewer and its station", "python -m benchmarks.soak.viewer_kills", text, "granian"
    )
    return 1 if found.lost or found.doubled or found.differing or found.missing else 0


if __name__ == "__main__":
    sys.exit(main())
