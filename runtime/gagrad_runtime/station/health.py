"""The health of a station, told to its receivers: camera, receivers and disk, each minute and at a change.

It goes the way of all events, through the outbox, so that a receiver knows of the others. See
docs/adr/0041-health-is-an-event.md.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import UNSET

from gagrad_runtime.station.events import HealthEvent, ReceiverHealth, now
from gagrad_runtime.station.judging import disk_share

if TYPE_CHECKING:
    from gagrad_runtime.station.sinks.delivery import Delivery
    from gagrad_runtime.station.watch import Watch

FIRST = 5.0
"""Seconds from the start to the first event: each receiver was tried by then."""
EVERY = 60.0
"""Seconds between two events where nothing changes."""
LEAST = 5.0
"""Seconds between two events at least, so that a receiver that comes and goes does not fill the outbox."""


class Health:
    """When the next event is due, and what it says; never due without receivers."""

    def __init__(self, station: Watch, delivery: Delivery | None) -> None:
        self._station = station
        self._delivery = delivery
        self._told = time.monotonic() + FIRST - EVERY
        self._last: object = None

    def step(self) -> None:
        """Let the station publish the event that is due, if one is."""
        if (event := self.due()) is not None:
            self._station.report(event)

    def due(self) -> HealthEvent | None:
        """Return the event that is due; None most of the time."""
        delivery, passed = self._delivery, time.monotonic() - self._told
        if delivery is None or passed < LEAST:
            return None
        state = self._state(delivery)
        if passed < EVERY and self._last in (None, state):
            return None
        self._told, self._last = time.monotonic(), state
        return self._event(delivery)

    def _state(self, delivery: Delivery) -> object:
        """Return what is told at once when it changes."""
        station = self._station
        return (station.degraded, station.camera and station.camera.state, *sorted(delivery.trouble))

    def _event(self, delivery: Delivery) -> HealthEvent:
        station, camera = self._station, self._station.camera
        disk = disk_share(station.store.folder)
        return HealthEvent(
            time=now(),
            receivers=[_receiver(delivery, name) for name in delivery.connected],
            degraded=station.degraded,
            waiting=station.waiting,
            disk=UNSET if disk is None else disk,
            camera=UNSET if camera is None else camera.state,
            source=UNSET if camera is None else camera.source,
        )


def _receiver(delivery: Delivery, name: str) -> ReceiverHealth:
    status, trouble = delivery.status.get(name), delivery.trouble.get(name)
    return ReceiverHealth(
        name=name,
        waiting=0 if status is None else status.waiting,
        dropped=0 if status is None else status.dropped,
        refused=0 if status is None else status.refused,
        error=UNSET if trouble is None else trouble.error,
        since=UNSET if trouble is None else trouble.since,
    )
