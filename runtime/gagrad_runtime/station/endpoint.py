"""Metrics and health over HTTP, on this machine's own address unless told otherwise.

``/metrics`` is Prometheus' text. ``/health`` answers 200 while work goes on and 503 when it has not for
STALLED seconds; its JSON says more.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from gagrad_edge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gagrad_runtime.station.config import MetricsTable
    from gagrad_runtime.station.metrics import Metrics
    from gagrad_runtime.station.watch import Watch

STALLED = 60.0
"""Seconds. The longest single step, a chunk of samples on a slow device, takes a few."""
_log = logging.getLogger(__name__)


class Endpoint:
    """Answers in a thread of its own until it is closed. Raises OutputError when the port is taken."""

    def __init__(self, table: MetricsTable, metrics: Metrics, station: Watch) -> None:
        self._metrics = metrics
        self._station = station
        try:
            self._server = make_server(table.address, table.port, self._answer, handler_class=_Handler)
        except OSError as error:
            raise OutputError(
                f"metrics cannot be served ({error.strerror or error})",
                where=f"{table.address}:{table.port}",
                hint="give another port under [metrics]; 0 takes a free one",
            ) from error
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        _log.info("metrics and health on http://%s:%d", table.address, self.port)

    def close(self) -> None:
        """Answer no longer."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        status, kind = "200 OK", "text/plain; version=0.0.4; charset=utf-8"
        if path == "/metrics":
            body = self._metrics.text()
        elif path == "/health":
            alive = self._metrics.idle < STALLED
            report = {
                "alive": alive,
                "idle_seconds": round(self._metrics.idle, 3),
                "degraded": self._station.degraded,
                "waiting": self._station.waiting,
            }
            status = "200 OK" if alive else "503 Service Unavailable"
            kind, body = "application/json", json.dumps(report).encode()
        else:
            status, body = "404 Not Found", b"/metrics and /health are here\n"
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]


class _Handler(WSGIRequestHandler):
    timeout = 5
    """Seconds for a client to say what it wants: one that hangs must not hold the others up for long."""

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""
