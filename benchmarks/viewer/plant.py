"""A made-up plant: the events of its stations, as their webhooks send them, and a viewer that receives them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLASSES = ("ok", "scratch", "dent", "stain", "missing-hole")
CAUTIONS = ("peaks-disagree", "unsure", "covering-finds-nothing", "blurred")
_SIZE = 1024


def events(station: str, count: int, *, seed: int, ends: float, every: float) -> Iterator[dict[str, Any]]:
    """Yield the events of ``count`` frames of a station, of which a tenth is NG and explained.

    The last frame is at ``ends``, seconds since 1970, and ``every`` seconds lie between two.
    """
    chance = random.Random(seed)  # noqa: S311 - made-up parts
    sequence = 0
    for number in range(1, count + 1):
        moment = time.gmtime(ends - (count - number) * every)
        bad = chance.random() < 0.1
        verdict = chance.choice(CLASSES[1:]) if bad else "ok"
        sequence += 1
        base: dict[str, Any] = {
            "station": station,
            "epoch": f"{seed:032x}",
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment),
            "id": number,
            "file": f"part-{number:07d}.png",
            "verdict": verdict,
            "probability": round(chance.uniform(0.5, 1), 4),
            "outcome": "NG" if bad else "OK",
            "bundle": "surface",
            "bundle_sha256": "5e" * 32,
        }
        yield {
            **base,
            "event": "verdict",
            "sequence": sequence,
            "explain": bad,
            "seconds": 0.01,
            "sha256": f"{chance.getrandbits(256):064x}",
            "disk": 0.4,
        }
        if bad:
            sequence += 1
            yield {**base, **_explained(chance, number, verdict), "sequence": sequence}


def _explained(chance: random.Random, number: int, verdict: str) -> dict[str, Any]:
    before = chance.uniform(0.6, 1)
    places = []
    for share in (0.4, 0.2, 0.1):
        left, top = chance.randrange(_SIZE - 120), chance.randrange(_SIZE - 120)
        box = [left, top, left + chance.randrange(20, 120), top + chance.randrange(20, 120)]
        places.append({"box": box, "area": 900, "share": share, "peak": [left + 9.0, top + 9.0]})
    left_over = [round(before * chance.random(), 4) for _ in places]
    return {
        "event": "explained",
        "record": f"{number:08d}-part.json",
        "picture": f"{number:08d}-part.explained.png",
        "rcap": None,
        "samples": 5,
        "seconds": 0.4,
        "target": verdict,
        "cautions": [chance.choice(CAUTIONS)] if chance.random() < 0.2 else [],
        "places": places,
        "covering": {
            "fill": "surroundings", "before": before, "places": left_over,
            "changed": [one < 0.4 for one in left_over], "controls": [before] * 3,
            "controls_changed": [False] * 3, "decidable": True,
        },
        "strength": "strong",
        "place_stability": round(chance.uniform(0.5, 1), 3),
        "height": _SIZE,
        "width": _SIZE,
    }  # fmt: skip


@contextlib.contextmanager
def running(data: Path) -> Iterator[tuple[str, int, subprocess.Popen[bytes]]]:
    """Run a viewer on ``data``; yield its host, its port and its process."""
    command = [sys.executable, "-c", "from gagrad_runtime.commands.viewer import viewer; viewer()"]
    process = subprocess.Popen([*command, "--data", str(data), "--port", "0"], stderr=subprocess.PIPE)
    try:
        while line := process.stderr.readline() if process.stderr else b"":
            if found := re.search(rb"http://([\d.]+):(\d+)", line):
                yield found.group(1).decode(), int(found.group(2)), process
                return
        raise RuntimeError("the viewer did not start")
    finally:
        process.terminate()
        process.wait(10)


async def post(host: str, port: int, event: dict[str, Any]) -> int:
    """Send ``event`` as a station does, with a connection of its own; return the status, 0 without an answer."""
    body = json.dumps(event).encode()
    head = f"POST /events HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return 0
    try:
        writer.write(head.encode() + body)
        await writer.drain()
        answer = await reader.readline()
        return int(answer.split()[1]) if answer else 0
    except OSError:
        return 0
    finally:
        writer.transport.abort()


async def fetch(host: str, port: int, path: str) -> tuple[int, int, float]:
    """Return status, bytes and seconds of the page ``path``."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.read()
        return int(answer.split(b" ", 2)[1]), len(answer), time.perf_counter() - began
    finally:
        writer.transport.abort()


def processor(pid: int) -> float:
    """Return the processor time that a process has taken, seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Return the proportional set size of a process, megabytes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:  # noqa: PTH123
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("Pss:"))
