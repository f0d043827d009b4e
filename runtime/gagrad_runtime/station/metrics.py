"""Counters, histograms and gauges of a station, for Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import MissingPackageError
from gagrad_edge.printable import printable
from gagrad_runtime.station.events import ExplainedEvent, VerdictEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.station.events import Event
    from gagrad_runtime.station.sinks.delivery import Delivery
    from gagrad_runtime.station.watch import Watch

_PREFIX = "gagrad_station_"
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_CAMERA = {
    "frames": "Frames that the camera sent.",
    "overwritten": "Frames that a newer one replaced before the station took them.",
    "reconnects": "Attempts to connect to the camera again.",
    "frozen": "Times that the camera sent nothing, or the same picture, while connected.",
}
_SINK = {
    "waiting": "Events that wait for the receiver.",
    "dropped": "Events that were deleted because too many waited.",
    "refused": "Events that the receiver will never take.",
}


class Metrics:
    """The counters of one station. Raises MissingPackageError."""

    def __init__(self) -> None:
        try:
            import prometheus_client as prometheus  # noqa: PLC0415 - of the extra `station`
        except ImportError as error:
            hint = 'pip install "gagrad-edge[station]"'
            raise MissingPackageError(f"metrics need prometheus-client ({error})", hint=hint) from error
        self._library: Any = prometheus
        self._registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self._registry)
        self._events = self._of("Counter", "events", "Events, by kind.", ("event",))
        self._verdicts = self._of("Counter", "verdicts", "Frames, by the model's verdict.", ("verdict",))
        self._unnamed = self._of("Counter", "unnamed_parts", "Frames in whose name no part id was found.")
        self._verdict_seconds = self._of("Histogram", "verdict_seconds", "Time of the model for one verdict.")
        self._explanation_seconds = self._of("Histogram", "explanation_seconds", "Time of one explanation.")
        self._last_step = time.monotonic()

    @property
    def idle(self) -> float:
        """Seconds since the last step of the station's loop."""
        return time.monotonic() - self._last_step

    def observe(self, station: Watch, delivery: Delivery | None) -> None:
        """Let the gauges read ``station`` and ``delivery`` at each scrape."""
        store = station.store
        self._read("waiting", "Frames that wait for their explanation.", lambda: station.waiting)
        self._read("degraded", "1 while results cannot be stored.", lambda: station.degraded)
        self._read("explanations_kept", "Explanations in the folder.", lambda: store.kept)
        self._read("explanations_bytes", "Bytes of the explanations in the folder.", lambda: store.size)
        self._read("idle_seconds", "Seconds since the last step of the loop.", lambda: self.idle)
        for name, text in _CAMERA.items():
            if hasattr(station.source, name):
                self._read(f"camera_{name}", text, _attribute(station.source, name))
        if delivery is not None:
            self._observe_sinks(delivery)

    def _observe_sinks(self, delivery: Delivery) -> None:
        up = self._of("Gauge", "sink_up", "1 when the receiver took the last message.", ("sink",))
        gauges = {name: self._of("Gauge", f"sink_{name}", text, ("sink",)) for name, text in _SINK.items()}
        for sink in delivery.connected:
            up.labels(sink).set_function(_item(delivery.connected, sink))
            for name, gauge in gauges.items():
                gauge.labels(sink).set_function(_status(delivery, sink, name))

    def count(self, event: Event) -> None:
        """Count ``event``, and observe how long it took."""
        self._events.labels(event.kind).inc()
        if isinstance(event, VerdictEvent):
            self._verdicts.labels(printable(event.verdict)).inc()
            self._verdict_seconds.observe(event.seconds)
            self._unnamed.inc(event.part is None)
        if isinstance(event, ExplainedEvent):
            self._explanation_seconds.observe(event.seconds)

    def progress(self) -> None:
        """Record that the station's loop made a step."""
        self._last_step = time.monotonic()

    def text(self) -> bytes:
        """Return Prometheus' text."""
        return bytes(self._library.generate_latest(self._registry))

    def _of(self, kind: str, name: str, text: str, labels: tuple[str, ...] = ()) -> Any:
        options = {"buckets": _SECONDS} if kind == "Histogram" else {}
        make = getattr(self._library, kind)
        return make(_PREFIX + name, text, labels, registry=self._registry, **options)

    def _read(self, name: str, text: str, function: Callable[[], float]) -> None:
        self._of("Gauge", name, text).set_function(function)


def _attribute(holder: object, name: str) -> Callable[[], float]:
    return lambda: float(getattr(holder, name))


def _item(table: dict[str, bool], key: str) -> Callable[[], float]:
    return lambda: float(table[key])


def _status(delivery: Delivery, sink: str, name: str) -> Callable[[], float]:
    return lambda: float(getattr(delivery.status.get(sink), name, 0))
