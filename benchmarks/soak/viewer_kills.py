"""A viewer and the station that feeds it, each killed at random moments: nothing is lost or doubled on the page.

python -m benchmarks.soak.viewer_kills [COUNT [MINUTES]]    (COUNT kills of each, or as many as there is time for;
                                                             writes its section of docs/soak.md)
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import os
import socket
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.soak.section import write_section
from benchmarks.soak.station import demo_bundle, put_image
from gagrad_runtime.station.store import Store

COUNT = 100
FRAMES = 2
"""Frames that come before each kill."""
_FORK = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload(
    ["gagrad_edge.cli", "gagrad_runtime.station.run", "gagrad_runtime.viewer.run", "onnxruntime", "granian"]
)


class Found(NamedTuple):
    """What the page says beside what the station's index says."""

    kills: int
    """Of each of the two."""
    rows: int
    lost: int
    doubled: int
    differing: int
    """Frames with another state on the page."""
    missing: int
    """Events that the page says never came."""
    states: dict[str, int]


class Process:
    """A command of gagrad-edge in a process of its own, forked from a server that has imported it: that is fast."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        log.unlink(missing_ok=True)
        log.touch()
        self._child = _FORK.Process(target=_run, args=(str(log), arguments))
        self._child.start()

    def wait_for(self, count: int, text: str, seconds: float = 120.0) -> None:
        """Wait until it wrote ``text`` so many times. Raises RuntimeError when it ends first or is too slow."""
        until = time.monotonic() + seconds
        while self._log.read_text(encoding="utf-8", errors="replace").count(text) < count:
            if not self._child.is_alive() or time.monotonic() > until:
                raise RuntimeError(f"{self._child.exitcode}: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._child.kill()
        self._child.join()

    def end(self) -> None:
        """End it with SIGTERM."""
        self._child.terminate()
        self._child.join()


def _run(log: str, arguments: tuple[str, ...]) -> None:
    """Be the command ``arguments``, which writes to the file ``log``."""
    number = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(number, stream)
    from gagrad_edge.cli import run as command

    sys.exit(command(list(arguments)))


def page(port: int) -> list[dict[str, str]]:
    """Return the rows of the viewer's history."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/export/history.csv", timeout=60) as answer:
        return list(csv.DictReader(io.StringIO(answer.read().decode("utf-8-sig"))))


def settled(port: int, frames: int, seconds: float = 300.0) -> None:
    """Wait until the page has so many frames and none waits any more, or the time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rows = page(port)
        if len(rows) >= frames and not any(row["state"] == "waiting" for row in rows):
            return
        time.sleep(1)


def compared(kills: int, told: list[dict[str, str]], data: Path, out: Path) -> Found:
    """Return what the page has ``told``, beside the station's index."""
    with Store(out, sinks=["webhook"]) as store:
        rows = {row.name: row.state for row in store.rows()}
    names = Counter(row["name"] for row in told)
    states = {row["name"]: row["state"] for row in told}
    connection = sqlite3.connect(data / "viewer.sqlite")
    (missing,) = connection.execute("SELECT coalesce(sum(before - after - 1), 0) FROM gap").fetchone()
    connection.close()
    return Found(
        kills=kills,
        rows=len(rows),
        lost=sum(name not in names for name in rows),
        doubled=sum(count - 1 for count in names.values()),
        differing=sum(name in states and states[name] != state for name, state in rows.items()),
        missing=missing,
        states=Counter(rows.values()),
    )


def run(root: Path, kills: int, minutes: float) -> Found:
    """Kill viewer and station ``kills`` times each, if there is time; return what is then on the page."""
    rng = np.random.default_rng(0)
    bundle, frames, out, data = demo_bundle(root), root / "in", root / "out", root / "data"
    frames.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    config = root / "station.toml"
    config.write_text(
        f'name = "line-1"\n[webhook]\nurl = "http://127.0.0.1:{port}/events"\npicture = true\ntimeout = 5\n'
    )

    def viewer() -> Process:
        started = Process(root / "viewer.log", "viewer", "--data", str(data), "--port", str(port))
        started.wait_for(1, "http://127.0.0.1")
        return started

    def station() -> Process:
        given = ["watch", str(bundle), str(frames), "-o", str(out), "--config", str(config), "--json"]
        given += ["--interval", "0.02", "--samples", "4", "--threads", "1", "--polling", "--no-cover"]
        return Process(root / "station.log", *given)

    watching, looking, put, done = station(), viewer(), 0, 0
    until = time.monotonic() + 60 * minutes
    try:
        for turn in range(kills):
            if time.monotonic() > until:
                break
            for number in range(FRAMES):
                put_image(frames, f"{turn:05d}-{number}", rng)
                put += 1
            watching.wait_for(1, '"event":')
            time.sleep(float(rng.uniform(0, 1.0)))
            for killed in (watching, looking) if turn % 2 else (looking, watching):
                killed.kill()
                time.sleep(float(rng.uniform(0, 0.5)))
            watching = station()
            time.sleep(float(rng.uniform(0, 1.0)))
            looking, done = viewer(), turn + 1
            if done % 5 == 0:
                print(done, put, len(page(port)), flush=True)
        settled(port, put)
        watching.end()
        return compared(done, page(port), data, out)
    finally:
        watching.kill()
        looking.kill()


def main() -> int:
    """Kill, compare, and return 1 if anything was lost, doubled or different."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 600.0
    with tempfile.TemporaryDirectory() as name:
        found = run(Path(name), kills, minutes)
    text = f"""`gagrad-edge watch` explains images that keep coming, and sends its events with pictures to `gagrad-edge viewer`. Up to a second after a new
result both are killed with SIGKILL, up to half a second apart, in turn the one or the other first, and started again. At the end the viewer's history is compared with the station's index.

| | |
|---|---|
| kills of the station / of the viewer | {found.kills} / {found.kills} |
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
