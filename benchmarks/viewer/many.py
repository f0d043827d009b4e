"""Two hundred stations with an event a second: nothing is lost and nothing doubled, also when answers get lost."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.viewer.plant import events, memory, post, running

if TYPE_CHECKING:
    from pathlib import Path

STATIONS = 200


class Outcome(NamedTuple):
    """What came of it."""

    sent: int
    """Events, each once."""
    stored: int
    frames: int
    expected_frames: int
    repeated: int
    """Sent a second time, as after an answer that got lost."""
    worst: float
    """Slowest answer, seconds."""
    p95: float
    megabytes: float


def run(folder: Path, seconds: float) -> Outcome:
    """Send for ``seconds``; return what is stored."""
    with running(folder) as (host, port, process):
        counts = asyncio.run(_all(host, port, seconds))
        megabytes = memory(process.pid)
    connection = sqlite3.connect(folder / "viewer.sqlite")
    (stored,) = connection.execute("SELECT count(*) FROM event").fetchone()
    frames, unlike = connection.execute(
        "SELECT count(*), count(*) - count(DISTINCT station * 10000000 + number) FROM frame"
    ).fetchone()
    connection.close()
    took = sorted(counts.took)
    return Outcome(
        counts.sent, stored, frames - unlike, counts.frames, counts.repeated,
        took[-1], took[int(0.95 * len(took))], megabytes,
    )  # fmt: skip


@dataclass
class _Counts:
    sent: int = 0
    frames: int = 0
    repeated: int = 0
    took: list[float] = field(default_factory=list)


async def _all(host: str, port: int, seconds: float) -> _Counts:
    counts = _Counts()
    until = time.monotonic() + seconds
    await asyncio.gather(*(_station(host, port, number, until, counts) for number in range(STATIONS)))
    return counts


async def _station(host: str, port: int, number: int, until: float, counts: _Counts) -> None:
    chance = random.Random(number)  # noqa: S311 - made-up stations
    await asyncio.sleep(chance.random())
    for event in events(f"line-{number:03d}", 10_000_000, seed=number, ends=time.time(), every=1):
        began = time.monotonic()
        if began > until:
            return
        while await post(host, port, event) != 204:
            await asyncio.sleep(0.5)
        counts.took.append(time.monotonic() - began)
        counts.sent += 1
        counts.frames += event["event"] == "verdict"
        if chance.random() < 0.02:
            await post(host, port, event)
            counts.repeated += 1
        await asyncio.sleep(max(0.0, 1 - (time.monotonic() - began)))
