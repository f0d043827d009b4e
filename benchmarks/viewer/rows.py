"""The time of pages with many rows: each page is asked for again and again, over HTTP, from the database's newest."""

from __future__ import annotations

import asyncio
import functools
import shutil
import statistics
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from benchmarks.table import markdown
from benchmarks.viewer.plant import events, fetch, memory, processor, running
from gagrad_runtime.viewer.database import Database
from gagrad_runtime.viewer.received import Received, read
from gagrad_runtime.viewer.storing import Arrived, store

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

STATIONS = 20
REPEATS = 20
PAGES = (
    "/", "/?station=line-03", "/history", "/history?outcome=NG", "/history?verdict=dent&station=line-07",
    "/history?caution=blurred", "/history?caution=blurred&verdict=stain&station=line-19&lowest=0.99",
    "/history?text=0001", "/history?text=00012&outcome=NG", "/history?text=zzzz", "/history?highest=0.4",
    "/history?not_looked=1&outcome=NG", "/gallery", "/gallery?station=line-11", "/queue", "/fleet", "/guide",
)  # fmt: skip
"""Asked as a person does, with filters that pass many rows, few and none."""


def build(folder: Path, rows: int) -> float:
    """Make a database with ``rows`` frames of STATIONS stations in ``folder``; return the seconds it took."""
    shutil.rmtree(folder, ignore_errors=True)
    began, now = time.perf_counter(), time.time()
    each = rows // STATIONS
    plants = [
        events(f"line-{number:02d}", each, seed=number, ends=now, every=30 * 86400 / each)
        for number in range(STATIONS)
    ]
    database = Database(folder)
    done, waiting = 0, []
    left = list(plants)
    while left:
        for one in list(left):
            event = next(one, None)
            if event is None:
                left.remove(one)
                continue
            received, when = read(msgspec.json.encode(event))
            arrived = Arrived(when, float(when), 0.0, {}, None)
            waiting.append(database.write(functools.partial(_store, folder, received, arrived)))
            done += 1
        if len(waiting) > 1000:
            for future in waiting:
                future.result()
            waiting = []
            if done % 100_000 < 1000:
                print(f"{done} events, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    for future in waiting:
        future.result()
    database.close()
    return time.perf_counter() - began


def _store(folder: Path, event: Received, arrived: Arrived, connection: sqlite3.Connection) -> None:
    store(connection, folder, event, arrived)


def table(folder: Path) -> tuple[str, float]:
    """Return the table of the pages, and the viewer's memory afterwards, MB."""
    lines = []
    with running(folder) as (host, port, process):
        asyncio.run(fetch(host, port, "/"))
        for page in (*PAGES, "/frame/1000", "/frame/999000"):
            status, size, took, began = 0, 0, [], processor(process.pid)
            for _ in range(REPEATS):
                status, size, seconds = asyncio.run(fetch(host, port, page))
                took.append(1000 * seconds)
            took.sort()
            spent = 1000 * (processor(process.pid) - began) / REPEATS
            lines.append(
                [
                    f"`{page}`",
                    status,
                    f"{statistics.median(took):.0f}",
                    f"{took[int(0.95 * REPEATS) - 1]:.0f}",
                    f"{spent:.0f}",
                    f"{size / 1000:.0f}",
                ]
            )
            print(lines[-1], file=sys.stderr)
        megabytes = memory(process.pid)
    return markdown(["page", "status", "ms, median", "ms, p95", "ms of processor", "kB"], lines), megabytes
