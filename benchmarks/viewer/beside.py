"""How long a station takes to a verdict, with no viewer, with one, and with one that twenty browsers look at.

python -m benchmarks.viewer.beside [ROUNDS]     (a minute and a half each; prints the table, and ``benchmarks.viewer`` publishes it)

All run on one machine, so what viewer and browsers take is taken from the station's cores. A browser is a connection
to the live page's stream that gets each picture the stream names, as the page does. Times are worth something on a
quiet machine only.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.soak.peers import printed_times
from benchmarks.soak.station import Watching, demo_bundle, put_image
from benchmarks.table import markdown
from benchmarks.timing import spread
from benchmarks.viewer.plant import fetch, running
from benchmarks.viewer.stream import BROWSERS

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES, PAUSE = 200, 0.1
"""Images of a run, and seconds between two."""
WAYS = ("no viewer", "a viewer", f"a viewer and {BROWSERS} browsers")
_WAIT = 60.0


ROUNDS = 4


def table(rounds: int = ROUNDS) -> str:
    """Run the three in turn, and return the table of their times and ratios."""
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        bundle = demo_bundle(Path(name))
        attempt(bundle, Path(name) / "warm", WAYS[0])  # the first run fills the caches
        for turn in range(rounds):
            for way in WAYS[turn % 3 :] + WAYS[: turn % 3]:
                found[way].append(attempt(bundle, Path(name) / f"{turn}-{WAYS.index(way)}", way))
                print(way, *(f"{1e3 * one:.1f} ms" for one in found[way][-1]), flush=True)
    rows = []
    for way, times in found.items():
        cells = [f"{1e3 * float(np.median([one[part] for one in times])):.1f} ms" for part in (0, 1)]
        beside = [
            spread([now[part] / then[part] for now, then in zip(times, found[WAYS[0]], strict=True)])
            for part in (0, 1)
        ]
        rows.append([way, cells[0], beside[0], cells[1], beside[1]])
    return markdown(["beside the station", "median", "times no viewer", "p99", "times no viewer"], rows)


def attempt(bundle: Path, root: Path, way: str) -> tuple[float, float]:
    """Return the median and the 99th percentile of the seconds from an image to its verdict."""
    frames, rng = root / "in", np.random.default_rng(0)
    frames.mkdir(parents=True)
    config = root / "station.toml"
    config.write_text('name = "line-1"\n')
    with contextlib.ExitStack() as stack:
        if way != WAYS[0]:
            host, port, _ = stack.enter_context(running(root / "data"))
            config.write_text(
                f'name = "line-1"\n[webhook]\nurl = "http://{host}:{port}/events"\npicture = true\n'
            )
            if way == WAYS[2]:
                stack.enter_context(browsers(host, port))
        watching = Watching(bundle, frames, root / "out", "--config", str(config), polling=False)
        put_image(frames, "first", rng)
        watching.wait_for(2)  # it is open, and has explained one
        printed, put = printed_times(watching), dict[str, float]()
        for number in range(IMAGES):
            name = f"{number:04d}"
            put[f"{name}.png"] = time.monotonic()
            put_image(frames, name, rng)
            time.sleep(max(0.0, put[f"{name}.png"] + PAUSE - time.monotonic()))
        until = time.monotonic() + _WAIT
        while not set(put) <= set(printed) and time.monotonic() < until:
            time.sleep(0.05)
        watching.child.send_signal(signal.SIGTERM)
        watching.end()
    waits = [printed[name] - moment for name, moment in put.items()]
    return float(np.median(waits)), float(np.percentile(waits, 99))


@contextlib.contextmanager
def browsers(host: str, port: int) -> Iterator[None]:
    """Have ``BROWSERS`` look at the live page, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    looking = [asyncio.run_coroutine_threadsafe(_look(host, port), loop) for _ in range(BROWSERS)]
    try:
        yield
    finally:
        for one in looking:
            one.cancel()
        time.sleep(0.2)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _look(host: str, port: int) -> None:
    await fetch(host, port, "/")
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 22)
    writer.write(
        f"GET /live/stream HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n\r\n".encode()
    )
    seen = set[str]()
    try:
        while line := await reader.readline():
            for path in re.findall(r'src="(/[^"]+)"', line.decode(errors="replace")):
                if path not in seen:  # a browser keeps what it has
                    seen.add(path)
                    await fetch(host, port, path)
    finally:
        writer.transport.abort()


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
