"""What a station counts, for Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.station.sinks.delivery import Delivery
    from gagrad_runtime.station.watch import Watch

_PREFIX = "gagrad_station_"
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_CAMERA = {
    "frames": "Frames that the camera sent.",
    "overwritten": "Frames that a newer one replaced before the station took them.",
    "reconnects": "Times that the camera was connected to again.",
    "frozen": "Times that the camera sent nothing, or the same picture, while connected.",
}
_SINK = {
    "waiting": "Events that wait for the sink.",
    "dropped": "Events that were dropped since too many waited.",
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
        self._events = self._of("Counter", "events", "What became of frames.", ("event",))
        self._verdicts = self._of("Counter", "verdicts", "Frames by the model's verdict.", ("verdict",))
        self._seconds = {
            "verdict": self._of("Histogram", "verdict_seconds", "Of the model, for one verdict."),
            "explained": self._of("Histogram", "explanation_seconds", "For one explanation."),
        }
        self._moved = time.monotonic()

    @property
    def idle(self) -> float:
        """Seconds since work last went on."""
        return time.monotonic() - self._moved

    def observe(self, station: Watch, delivery: Delivery | None) -> None:
        """Read the gauges off ``station`` and ``delivery`` whenever somebody asks."""
        store = station.store
        self._read("waiting", "Frames that wait for their explanation.", lambda: station.waiting)
        self._read("degraded", "1 while results cannot be stored.", lambda: station.degraded)
        self._read("explanations_kept", "Explanations in the folder.", lambda: store.kept)
        self._read("explanations_bytes", "What they take.", lambda: store.size)
        self._read("idle_seconds", "Since work last went on.", lambda: self.idle)
        for name, text in _CAMERA.items():
            if hasattr(station.source, name):
                self._read(f"camera_{name}", text, _attribute(station.source, name))
        if delivery is not None:
            self._observe_sinks(delivery)

    def _observe_sinks(self, delivery: Delivery) -> None:
        up = self._of("Gauge", "sink_up", "1 when the sink took the last message.", ("sink",))
        gauges = {name: self._of("Gauge", f"sink_{name}", text, ("sink",)) for name, text in _SINK.items()}
        for sink in delivery.connected:
            up.labels(sink).set_function(_item(delivery.connected, sink))
            for name, gauge in gauges.items():
                gauge.labels(sink).set_function(_standing(delivery, sink, name))

    def event(self, event: dict[str, Any]) -> None:
        """Count what was told."""
        kind = event["event"]
        self._events.labels(kind).inc()
        if kind == "verdict":
            self._verdicts.labels(event["verdict"]).inc()
        if kind in self._seconds:
            self._seconds[kind].observe(event["seconds"])

    def alive(self) -> None:
        """Note that work went on."""
        self._moved = time.monotonic()

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


def _standing(delivery: Delivery, sink: str, name: str) -> Callable[[], float]:
    return lambda: float(getattr(delivery.standing.get(sink), name, 0))
