"""A `watch` that is killed at odd moments, again and again: what it told must be there, and whole.

python -m benchmarks.soak.kills [COUNT]        (a second each; writes its section of docs/soak.md)
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.soak.section import write_section
from gagrad_export import export
from gagrad_runtime.station.store import Store

COUNT = 1_000
DEMO = Path(__file__).parent.parent.parent / "gagrad_edge" / "demo" / "defects.onnx"
_WATCH = """
import sys
from gagrad_edge.cli import run
sys.exit(run(["watch", *sys.argv[1:3], "-o", sys.argv[3], "--json", "--interval", "0.01", "--samples", "4"]))
"""


def main() -> int:
    """Kill, look, and return 1 when something was lost or half."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    rng = np.random.default_rng(0)
    told: list[dict[str, Any]] = []
    early = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bundle, frames, out = root / "demo.gagrad", root / "in", root / "out"
        frames.mkdir()
        export(DEMO, bundle)
        for turn in range(total):
            for number in range(3):
                pixels = rng.integers(0, 255, (240, 320, 3), np.uint8)
                cv2.imwrite(str(frames / f"{turn:05d}-{number}.png"), pixels)
            lines = _killed(bundle, frames, out, wait=float(rng.uniform(0, 0.6)))
            told += lines
            early += not lines
            for old in sorted(frames.iterdir())[:-6]:
                old.unlink()
        lost, half, counts = _look(out, told)
    text = f"""`gagrad-edge watch` explains images that keep coming (4 samples each, so that it writes most of the time) and is killed with
SIGKILL up to 0.6 s behind its first line. A line is told after its row is stored.

| | |
|---|---|
| kills | {total}, {early} of them before the first line |
| lines told | {len(told)} |
| of these missing or with another state in the index | {lost} |
| pictures or records that do not open | {half} |
| rows | {", ".join(f"{count} {state}" for state, count in sorted(counts.items()))} |

Kills of a process, not of the machine: what the system had taken is still written."""
    write_section("Kills of a writing watch", "python -m benchmarks.soak.kills", text, "onnxruntime")
    return 1 if lost or half else 0


def _killed(bundle: Path, frames: Path, out: Path, wait: float) -> list[dict[str, Any]]:
    """Return what a watch told before it was killed, ``wait`` seconds behind its first line."""
    command = [sys.executable, "-c", _WATCH, str(bundle), str(frames), str(out)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if child.stdout is None:
        raise RuntimeError("no pipe to the child")
    first = child.stdout.readline()
    time.sleep(wait)
    os.kill(child.pid, signal.SIGKILL)
    rest = child.stdout.read()
    child.wait()
    return [json.loads(line) for line in (first + rest).splitlines() if line.endswith(b"}")]


def _look(out: Path, told: list[dict[str, Any]]) -> tuple[int, int, dict[str, int]]:
    """Return lines that the index does not bear out, files that do not open, and the states."""
    with Store(out) as store:
        rows = {row.id: row for row in store.rows()}
        counts = store.counts()
    lost = 0
    for event in told:
        row = rows.get(int(event["id"]))
        ended = event["event"] in ("explained", "dropped")
        lost += row is None or (ended and row.state != event["event"])
    half = 0
    for row in rows.values():
        if row.state == "explained":
            half += cv2.imread(str(out / f"{row.stem}.explained.png")) is None
            try:
                json.loads((out / f"{row.stem}.json").read_text())
            except (OSError, ValueError):
                half += 1
    index = sqlite3.connect(out / "index.sqlite")
    half += index.execute("PRAGMA integrity_check").fetchone() != ("ok",)
    return lost, half, counts


if __name__ == "__main__":
    sys.exit(main())
