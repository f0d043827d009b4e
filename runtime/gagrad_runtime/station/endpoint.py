"""HTTP endpoint for metrics and health, on localhost unless configured otherwise.

``/metrics`` is in Prometheus' text format. ``/health`` responds 200, or 503 when the station's loop made no
step for STALLED seconds or nothing can be delivered any more; the body is JSON.

Clients share one thread and none waits for another: each has SECONDS for all of its request and of its
answer, and of more than CLIENTS the one that has been connected for longest is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from typing import TYPE_CHECKING

from gagrad_edge.errors import OutputError

if TYPE_CHECKING:
    from gagrad_runtime.station.config import MetricsTable
    from gagrad_runtime.station.metrics import Metrics
    from gagrad_runtime.station.sinks.delivery import Delivery
    from gagrad_runtime.station.watch import Watch

STALLED = 60.0
"""Seconds without a step of the loop that count as stalled. The longest step, one chunk of samples on a slow
device, takes a few."""
SECONDS = 5.0
"""Longest time of one client, from its connection to the end of its answer."""
CLIENTS = 32
"""Most clients at a time: each takes a file descriptor. A quarter of the process's, where that is fewer."""
_LARGEST = 1 << 14
"""Bytes of the longest request."""
_log = logging.getLogger(__name__)


def _most_clients() -> int:
    """Return how many clients there may be, so that descriptors are left for images and receivers."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return CLIENTS
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return CLIENTS if limit == resource.RLIM_INFINITY else max(2, min(CLIENTS, limit // 4))


class Endpoint:
    """The server, in a thread of its own until it is closed. Raises OutputError when the port is in use."""

    def __init__(
        self, table: MetricsTable, metrics: Metrics, station: Watch, delivery: Delivery | None = None
    ) -> None:
        self._metrics = metrics
        self._station = station
        self._delivery = delivery
        self._clients: dict[asyncio.StreamWriter, None] = {}
        self._most = _most_clients()
        family = socket.AF_INET6 if ":" in table.address else socket.AF_INET
        try:
            listening = socket.create_server((table.address, table.port), family=family)
        # An address that no name server could know is a ValueError or, for odd letters, a TypeError.
        except (OSError, ValueError, TypeError) as error:
            raise OutputError(
                f"metrics cannot be served ({getattr(error, 'strerror', None) or error})",
                where=f"{table.address}:{table.port}",
                hint="give another port under [metrics]; 0 takes a free one",
            ) from error
        self.port = int(listening.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listening,), name="metrics", daemon=True)
        self._thread.start()
        _log.info("metrics and health on http://%s:%d", table.address, self.port)

    def close(self) -> None:
        """Stop serving."""
        with contextlib.suppress(RuntimeError):  # its thread has ended
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(timeout=1)

    def _run(self, listening: socket.socket) -> None:
        try:
            self._loop.run_until_complete(self._serve(listening))
        except Exception:  # noqa: BLE001 - verdicts go on
            _log.exception("metrics are not served any more until the station is started again")
        finally:
            listening.close()
            self._loop.close()

    async def _serve(self, listening: socket.socket) -> None:
        server = await asyncio.start_server(
            self._client, sock=listening, limit=_LARGEST, backlog=max(2, self._most // 2)
        )  # so many are accepted at once
        await self._closing.wait()
        server.close()
        for writer in list(self._clients):
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client, or close its connection when it takes too long."""
        self._clients[writer] = None
        if len(self._clients) > self._most:
            oldest = next(iter(self._clients))
            del self._clients[oldest]
            oldest.transport.abort()
        try:
            await asyncio.wait_for(self._exchange(reader, writer), SECONDS)
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.TimeoutError, TimeoutError):
            pass  # what a client does wrong is nothing to log: anybody may connect
        finally:
            self._clients.pop(writer, None)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = request.partition(b"\r\n")[0].decode("ascii", "replace").partition(" ")
        status, kind, body = self._answer(method, rest.partition(" ")[0].partition("?")[0])
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + (b"" if method == "HEAD" else body))
        await writer.drain()
        writer.write_eof()
        # A connection that is closed with bytes unread is reset, and the client may lose the answer.
        while await reader.read(_LARGEST):
            pass

    def _answer(self, method: str, path: str) -> tuple[str, str, bytes]:
        """Return status, type and body."""
        text = "text/plain; version=0.0.4; charset=utf-8"
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed", text, b"GET is answered\n"
        if path == "/metrics":
            return "200 OK", text, self._metrics.text()
        if path == "/health":
            delivery = self._delivery
            alive = self._metrics.idle < STALLED and (delivery is None or delivery.alive)
            report = {
                "alive": alive,
                "receivers": {} if delivery is None else delivery.connected,
                "idle_seconds": round(self._metrics.idle, 3),
                "degraded": self._station.degraded,
                "waiting": self._station.waiting,
            }
            status = "200 OK" if alive else "503 Service Unavailable"
            return status, "application/json", json.dumps(report).encode()
        return "404 Not Found", text, b"/metrics and /health are here\n"
