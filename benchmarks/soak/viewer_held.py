"""Three hundred connections to a viewer that stay and send nothing, half a head, or half a body; others are answered.

python -m benchmarks.soak.viewer_held [SECONDS]    (a minute; writes its section of docs/soak.md)
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.soak.section import write_section
from benchmarks.viewer.plant import events, fetch, memory, post, running

SECONDS = 60.0
EACH = 100
"""Connections of each kind."""
_POST = b"POST /events HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n{"
PAGES = ("/", "/history", "/fleet")


class Held(NamedTuple):
    """One kind of connection."""

    name: str
    sends: bytes


class Counts:
    """What was seen of the connections, and of those that are served beside them."""

    def __init__(self) -> None:
        self.open: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.least = 0
        self.sent = 0
        self.refused = 0
        self.pages: list[float] = []
        self.failed = 0
        self.before = self.after = 0.0


def kinds(host: str, port: int) -> tuple[Held, ...]:
    """Return the kinds."""
    head = f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\n".encode()
    body = _POST.replace(b"{host}", f"{host}:{port}".encode())
    return (Held("nothing", b""), Held("half a head", head), Held("half a body", body))


async def hold(host: str, port: int, kind: Held, counts: Counts, until: float) -> None:
    """Keep a connection of ``kind``, and make it anew when the viewer ends it."""
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            counts.open[kind.name] = counts.open.get(kind.name, 0) + 1
            try:
                writer.write(kind.sends)
                await asyncio.wait_for(reader.read(), max(0.0, until - time.monotonic()))
                counts.ended[kind.name] = counts.ended.get(kind.name, 0) + 1
            except (asyncio.TimeoutError, TimeoutError):
                pass
            finally:
                counts.open[kind.name] -= 1
                writer.transport.abort()


async def serve_beside(host: str, port: int, counts: Counts, until: float) -> None:
    """Send an event and ask for the pages, each second."""
    told = events("line-1", 100_000, seed=1, ends=time.time(), every=1)
    while time.monotonic() < until:
        counts.refused += await post(host, port, next(told)) != 204
        counts.sent += 1
        for path in PAGES:
            status, _, took = await fetch(host, port, path)
            counts.failed += status != 200
            counts.pages.append(took)
        counts.least = min(counts.least or 3 * EACH, sum(counts.open.values()))
        await asyncio.sleep(1)


async def _all(host: str, port: int, pid: int, seconds: float) -> Counts:
    counts, until = Counts(), time.monotonic() + seconds
    await fetch(host, port, "/")
    counts.before = memory(pid)
    held = [
        asyncio.create_task(hold(host, port, kind, counts, until))
        for kind in kinds(host, port)
        for _ in range(EACH)
    ]
    await asyncio.sleep(2)
    await serve_beside(host, port, counts, until - 2)
    counts.after = memory(pid)
    await asyncio.gather(*held)
    return counts


def main() -> int:
    """Hold, measure, and return 1 if anything was refused or lost."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder) as (host, port, process):
            counts = asyncio.run(_all(host, port, process.pid, seconds))
        connection = sqlite3.connect(folder / "viewer.sqlite")
        (stored,) = connection.execute("SELECT count(*) FROM event").fetchone()
        connection.close()
    took = sorted(counts.pages)
    text = f"""{EACH} connections each to `gagrad-edge viewer` send nothing, half a head, or half a body, and stay for {seconds:.0f} s; one that the viewer ends is
made anew at once. Beside them a station sends an event each second, and a browser asks for `{"`, `".join(PAGES)}`.

| | |
|---|---|
| connections held, at least | {counts.least} |
| ended by the viewer | {", ".join(f"{kind}: {number}" for kind, number in sorted(counts.ended.items())) or "none"} |
| events sent / refused / stored | {counts.sent} / {counts.refused} / {stored} |
| pages asked for / not given | {len(took)} / {counts.failed} |
| time of a page, median / longest | {1000 * took[len(took) // 2]:.0f} / {1000 * took[-1]:.0f} ms |
| memory of the viewer before / with them | {counts.before:.0f} / {counts.after:.0f} MB |

The machine was busy with other work: the times say that pages come, not how fast."""
    write_section(
        "Connections to a viewer that stay", "python -m benchmarks.soak.viewer_held", text, "granian"
    )
    return 1 if counts.refused or counts.failed or stored != counts.sent else 0


if __name__ == "__main__":
    sys.exit(main())
