"""From an event to browsers: the time from a station's request to the message that open pages get."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from benchmarks.viewer.plant import events, memory, post, running

if TYPE_CHECKING:
    from pathlib import Path

BROWSERS = 20
EVENTS = 100
EVERY = 0.5
"""Seconds between two events."""


def latency(folder: Path) -> tuple[float, float, float]:
    """Return median and p95, milliseconds, over all browsers and events, and the viewer's memory, MB."""
    with running(folder) as (host, port, process):
        took = sorted(asyncio.run(_measured(host, port)))
        return 1000 * took[len(took) // 2], 1000 * took[int(0.95 * len(took))], memory(process.pid)


async def _measured(host: str, port: int) -> list[float]:
    sent: list[float] = []
    took: list[float] = []
    listeners = [asyncio.create_task(_listen(host, port, sent, took)) for _ in range(BROWSERS)]
    await asyncio.sleep(3)
    for event in events("fast", EVENTS, seed=777, ends=time.time(), every=1):
        sent.append(time.perf_counter())
        await post(host, port, event)
        await asyncio.sleep(EVERY)
    for one in listeners:
        one.cancel()
    return took


async def _listen(host: str, port: int, sent: list[float], took: list[float]) -> None:
    """Note for each message how long ago the newest event was sent."""
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 22)
    writer.write(
        f"GET /live/stream HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n\r\n".encode()
    )
    try:
        inside = False
        while line := await reader.readline():
            begins = line.startswith(b"data:")
            if begins and not inside and sent:
                took.append(time.perf_counter() - sent[-1])
            inside = begins
    finally:
        writer.transport.abort()
