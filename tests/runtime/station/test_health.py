"""The event ``health``: when it is due, and what it says of camera, receivers and disk."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import UNSET

from gagrad_edge.errors import OutputError
from gagrad_runtime.station import health as health_module
from gagrad_runtime.station.config import WebhookTable
from gagrad_runtime.station.events import SourceEvent, decode, encode
from gagrad_runtime.station.health import EVERY, FIRST, LEAST, Health
from gagrad_runtime.station.sinks import delivery as delivery_module
from gagrad_runtime.station.sinks.delivery import Delivery, Trouble
from gagrad_runtime.station.sinks.webhook import Webhook
from gagrad_runtime.station.store import Store
from tests.runtime.station.receiving import Receiver, add, until

if TYPE_CHECKING:
    from pathlib import Path

CAMERA = SourceEvent(time="2026-01-01T00:00:00Z", state="lost", source="rtsp://camera/", reason="away")


class Clock:
    """A clock that goes when it is told to."""

    now = 100.0

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(health_module, "time", one)
    return one


def faring(folder: Path) -> Any:
    return SimpleNamespace(degraded=False, waiting=3, camera=None, store=SimpleNamespace(folder=folder))


def test_it_is_due_soon_each_minute_and_at_a_change(tmp_path: Path, clock: Clock) -> None:
    """First after five seconds, then each minute; a change is told at once, but not too often."""
    one, delivery = faring(tmp_path), SimpleNamespace(trouble={}, connected={}, status={})
    health = Health(one, delivery)  # type: ignore[arg-type]

    def due(seconds: float) -> bool:
        clock.now += seconds
        return health.due() is not None

    assert [due(FIRST - 0.1), due(0.2), due(0.1), due(EVERY - 0.2), due(0.2)] == [
        *(False, True, False, False, True)
    ]
    delivery.trouble["mqtt"] = Trouble("refused", "2026-01-01T00:00:00Z")
    assert [due(LEAST - 0.1), due(0.2), due(EVERY - 0.1), due(0.2)] == [False, True, False, True]
    del delivery.trouble["mqtt"]
    one.camera = CAMERA
    assert [due(LEAST), due(LEAST)] == [True, False]
    one.degraded = True
    assert due(LEAST)


@pytest.mark.slow
def test_a_receiver_learns_of_the_others(
    tmp_path: Path, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says of each receiver how many events wait, why it takes none and since when; and the camera."""
    monkeypatch.setattr(delivery_module, "LONGEST_PAUSE", 0.1)
    bound = socket.socket()  # and not listening: a connection is refused
    bound.bind(("127.0.0.1", 0))
    dead = Webhook(WebhookTable(url=f"http://127.0.0.1:{bound.getsockname()[1]}/"), "s")
    dead.name = "dead"
    with bound, Store(tmp_path, sinks=["webhook", "dead"]) as store:
        add(store, 4)
        delivery = Delivery(store, [Webhook(WebhookTable(url=receiver.url), "s"), dead], "s")
        until(lambda: len(receiver.got) == 4 and "dead" in delivery.trouble and len(delivery.status) == 2)
        until(lambda: delivery.status["dead"].waiting == 4 and not delivery.status["webhook"].waiting)
        one = faring(tmp_path)
        one.camera = CAMERA
        health = Health(one, delivery)
        clock.now += FIRST
        event = health.due()
        assert event is not None
        store.publish(event)
        delivery.wake()
        until(lambda: len(receiver.got) == 5)
        delivery.close()
    told = receiver.got[-1][0]
    assert decode(encode(event)) == event
    assert told["event"] == "health"
    assert told["sequence"] == 5
    assert (told["degraded"], told["waiting"]) == (False, 3)
    assert (told["camera"], told["source"]) == ("lost", "rtsp://camera/")
    assert 0 < told["disk"] < 1
    fine, ill = told["receivers"]
    assert fine == {"name": "webhook", "waiting": 0, "dropped": 0, "refused": 0}
    assert (ill["name"], ill["waiting"]) == ("dead", 4)
    assert ill["error"].isprintable()
    assert ill["since"] <= told["time"]


def test_a_receiver_that_takes_events_again_has_no_trouble(tmp_path: Path) -> None:
    """The first acknowledged message ends it."""
    with Store(tmp_path, sinks=["webhook"]) as store:
        delivery = Delivery(store, [], "s")
        delivery._failures["webhook"] = 2
        delivery.trouble["webhook"] = Trouble("refused", "2026-01-01T00:00:00Z")
        delivery._connected_again(Webhook(WebhookTable(url="http://localhost/"), "s"))
        assert delivery.trouble == {}
        delivery.close()


def test_one_that_cannot_be_stored_is_not_kept(station: Any) -> None:
    """It stands in nobody's way: the next one says more, and verdicts have the place."""
    one = station()

    def full(_: object) -> None:
        raise OutputError("the disk is full")

    one.store.publish = full
    event = health_module.HealthEvent(time="", receivers=[], degraded=True, waiting=0)
    one.report(event)
    assert station.events == [event]
    assert event.camera is UNSET
    assert not one._ledger._writes._late
