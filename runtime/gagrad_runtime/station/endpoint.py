"""HTTP endpoint for metrics and health, on localhost unless configured otherwise.

``/metrics`` is in Prometheus' text format. ``/health`` responds 200, or 503 when the station's loop made no
step for STALLED seconds or nothing can be delivered any more; the body is JSON.
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
    from gagrad_runtime.station.sinks.delivery import Delivery
    from gagrad_runtime.station.watch import Watch

STALLED = 60.0
"""Seconds without a step of the loop that count as stalled. The longest step, one chunk of samples on a slow
device, takes a few."""
_log = logging.getLogger(__name__)


class Endpoint:
    """The server, in a thread of its own until it is closed. Raises OutputError when the port is in use."""

    def __init__(
        self, table: MetricsTable, metrics: Metrics, station: Watch, delivery: Delivery | None = None
    ) -> None:
        self._metrics = metrics
        self._station = station
        self._delivery = delivery
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
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        status, kind = "200 OK", "text/plain; version=0.0.4; charset=utf-8"
        if path == "/metrics":
            body = self._metrics.text()
        elif path == "/health":
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
            kind, body = "application/json", json.dumps(report).encode()
        else:
            status, body = "404 Not Found", b"/metrics and /health are here\n"
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]


class _Handler(WSGIRequestHandler):
    timeout = 5
    """Seconds to wait for a client's request: a client that hangs must not block the others for long."""

    def log_message(self, *_: Any) -> None:
        """Log no requests."""
