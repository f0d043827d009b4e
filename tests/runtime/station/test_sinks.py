"""Delivery: at least once, in order, whatever the receiver does; a dead one holds nobody else."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gagrad_edge.errors import SettingError
from gagrad_runtime.station.config import MqttTable, WebhookTable
from gagrad_runtime.station.events import ExplainedEvent
from gagrad_runtime.station.sinks import delivery as delivery_module
from gagrad_runtime.station.sinks.delivery import Delivery
from gagrad_runtime.station.sinks.mqtt import Mqtt
from gagrad_runtime.station.sinks.webhook import Webhook
from gagrad_runtime.station.store import Store
from tests.runtime.station.receiving import PLACES, Receiver, add, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(delivery_module, "LONGEST_PAUSE", 0.1)


@pytest.mark.slow
def test_a_webhook_gets_everything_in_order(tmp_path: Path, receiver: Receiver) -> None:
    """Also when it does not answer well, and what it will never take is left out."""
    receiver.answers = [503, 204, 429, 204, 422]
    with Store(tmp_path, sinks=["webhook"]) as store:
        add(store, 120)
        sink = Webhook(WebhookTable(url=receiver.url), "line-4")
        delivery = Delivery(store, [sink], "line-4")
        until(lambda: len(receiver.got) == 119)
        until(lambda: delivery.status["webhook"].waiting == 0)
        delivery.close()
        assert delivery.status["webhook"].refused == 1
        assert delivery.connected["webhook"]
    numbers = [body["sequence"] for body, _ in receiver.got]
    assert numbers == [number for number in range(1, 121) if number != 3]
    body, headers = receiver.got[0]
    assert headers["Idempotency-Key"] == f"line-4-{body['epoch']}-1"
    assert body == {
        "event": "verdict",
        "station": "line-4",
        "epoch": body["epoch"],
        "sequence": 1,
        "time": "",
        "id": 1,
        "file": "0",
        "verdict": "ok",
        "probability": 0.5,
        "explain": False,
        "seconds": 0.25,
    }


class Faulty:
    """A sink that raises what no sink should."""

    name = "faulty"
    table = WebhookTable(url="http://localhost/")

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Faulty]:
        """Open nothing."""
        yield self

    async def send(self, *_: object) -> None:
        """Fail in a way that is no UndeliveredError."""
        raise UnicodeEncodeError("ascii", "é", 0, 1, "no header holds it")


def test_the_fault_of_one_sink_is_its_own(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever one sink raises, the other gets everything; the log has the cause once, health knows."""
    with Store(tmp_path, sinks=["faulty", "webhook"]) as store:
        add(store, 3)
        delivery = Delivery(store, [Faulty(), Webhook(WebhookTable(url=receiver.url), "s")], "s")
        until(lambda: len(receiver.got) == 3)
        until(lambda: delivery._failures["faulty"] > 2)
        assert delivery.alive
        assert delivery.connected == {"faulty": False, "webhook": True}
        delivery.close()
    warned = [record for record in caplog.records if record.levelname == "WARNING"]
    assert ["no header holds it" in record.getMessage() for record in warned] == [True]


@pytest.mark.parametrize("token", ["abc\ndef", "abc\r", "schlüssel", "a\0b"])
def test_a_token_that_no_header_can_hold_is_refused(tmp_path: Path, token: str) -> None:
    """The check of the configuration says so, and does not show the token."""
    (tmp_path / "token").write_text(f"x{token}x", encoding="utf-8")
    with pytest.raises(SettingError, match="HTTP header cannot hold") as caught:
        Webhook(WebhookTable(url="http://localhost/", token_file=str(tmp_path / "token")), "s")
    assert token not in str(caught.value)


def test_a_line_break_behind_a_token_is_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    """Neither in a file nor in a variable; names and addresses beyond ASCII are sent percent-encoded."""
    monkeypatch.setenv("HOOK_TOKEN", "abc\n")
    variable = {"token_env": "HOOK_TOKEN"}
    table = WebhookTable(url=f"{receiver.url}/線é?q=ü", **variable)
    with Store(tmp_path, sinks=["webhook"]) as store:
        add(store, 1)
        delivery = Delivery(store, [Webhook(table, "線-4")], "線-4")
        until(lambda: len(receiver.got) == 1)
        delivery.close()
    body, headers = receiver.got[0]
    assert headers["Authorization"] == "Bearer abc"
    assert headers["Idempotency-Key"] == f"%E7%B7%9A-4-{body['epoch']}-1"


@pytest.mark.slow
def test_what_comes_later_is_sent_when_it_comes(tmp_path: Path, receiver: Receiver) -> None:
    """An event that is added while the delivery runs is sent; waking a closed delivery is harmless."""
    with Store(tmp_path, sinks=["webhook"]) as store:
        delivery = Delivery(store, [Webhook(WebhookTable(url=receiver.url), "s")], "s")
        add(store, 1)
        delivery.wake()
        until(lambda: len(receiver.got) == 1)
        delivery.close()
        delivery.wake()


@pytest.mark.slow
def test_a_dead_receiver_holds_nobody_and_gets_it_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    """A receiver that is down does not delay another, and gets its events after a restart."""
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    alive = Webhook(WebhookTable(url=receiver.url), "s")
    dead = Webhook(WebhookTable(url=f"http://127.0.0.1:{port}/"), "s")
    dead.name = "dead"
    with Store(tmp_path, sinks=["webhook", "dead"]) as store:
        add(store, 5)
        delivery = Delivery(store, [alive, dead], "s")
        until(lambda: len(receiver.got) == 5)
        assert not delivery.connected["dead"]
        delivery.close()
    with Store(tmp_path, sinks=["webhook", "dead"]) as store:
        again = Webhook(WebhookTable(url=receiver.url), "s")
        again.name = "dead"
        delivery = Delivery(store, [alive, again], "s")
        until(lambda: len(receiver.got) == 10)
        delivery.close()
    assert [body["sequence"] for body, _ in receiver.got] == [1, 2, 3, 4, 5] * 2


@pytest.mark.slow
def test_pictures_secrets_and_chosen_events(tmp_path: Path, receiver: Receiver) -> None:
    """A webhook sends only its events, with the pictures that there are, its bearer token and its time."""
    (tmp_path / "token").write_text("t0ken\n")
    (tmp_path / "x.explained.png").write_bytes(b"png")
    (tmp_path / "x.layer.jpg").write_bytes(b"jpg")
    (tmp_path / "x.layer.png").write_bytes(b"map")
    (tmp_path / "r.json").write_text('{"schema": 1}')
    table = WebhookTable(
        url=receiver.url, picture=True, token_file=str(tmp_path / "token"), events=["explained"]
    )
    with Store(tmp_path, sinks=["webhook"]) as store:
        add(store, 1)
        for picture in ("x.explained.png", "gone.explained.png"):
            event = ExplainedEvent(
                time="", record="r.json", picture=picture, rcap=None, samples=4, seconds=1.0
            )
            store.add(picture, picture, "", state="verdict", event=event)
        delivery = Delivery(store, [Webhook(table, "s")], "s")
        until(lambda: len(receiver.got) == 2)
        delivery.close()
    (first, headers), (second, _) = receiver.got
    assert first["picture_png"] == "cG5n"
    assert (first["frame_jpeg"], first["map_png"], first["record_json"]) == ("anBn", "bWFw", {"schema": 1})
    assert [second[name] for name in ("picture_png", "frame_jpeg", "map_png")] == [None] * 3
    assert headers["Date"].endswith(" GMT")
    assert headers["Authorization"] == "Bearer t0ken"


def test_an_address_with_a_password_is_refused() -> None:
    """A webhook's URL may not contain a password."""
    import msgspec

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": "http://user:pw@host/"}, WebhookTable)


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Return the port of a broker: a real Mosquitto where there is one, and one in Python everywhere."""
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    if request.param == "mosquitto":
        program = shutil.which("mosquitto", path=PLACES)
        if program is None:
            pytest.skip("no mosquitto here")
        command = [program, "-c", str(tmp_path / "mosquitto.conf")]
        (tmp_path / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    else:
        pytest.importorskip("amqtt")
        (tmp_path / "amqtt.yaml").write_text(
            f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n"
            "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
        )
        command = [sys.executable, "-c", "from amqtt.scripts.broker_script import main; main()"]
        command += ["-c", str(tmp_path / "amqtt.yaml")]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield port
    finally:
        child.terminate()
        child.wait()


def listen(port: int, count: int, got: list[tuple[str, bytes]], ready: threading.Event) -> None:
    import aiomqtt

    async def run() -> None:
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe("gagrad-edge/#", qos=1)
            ready.set()
            async for message in client.messages:
                got.append((str(message.topic), bytes(message.payload)))
                if len(got) == count:
                    return

    asyncio.run(run())


@pytest.mark.slow
def test_a_broker_gets_everything_in_order(tmp_path: Path, broker: int) -> None:
    """A broker gets online, every event in order, and offline at the end."""
    got: list[tuple[str, bytes]] = []
    ready = threading.Event()
    listener = threading.Thread(target=listen, args=(broker, 102, got, ready), daemon=True)
    listener.start()
    assert ready.wait(120)
    results = tmp_path / "results"
    with Store(results, sinks=["mqtt"]) as store:
        add(store, 100)
        delivery = Delivery(store, [Mqtt(MqttTable(host="127.0.0.1", port=broker), "line-4")], "line-4")
        until(lambda: len(got) >= 101)
        delivery.close()
    listener.join(120)
    assert got[0] == ("gagrad-edge/line-4/status", b"online")
    assert got[-1] == ("gagrad-edge/line-4/status", b"offline")
    events = [json.loads(payload) for topic, payload in got[1:-1] if topic == "gagrad-edge/line-4/verdict"]
    assert [event["sequence"] for event in events] == list(range(1, 101))


def test_a_topic_that_cannot_be_filled_in() -> None:
    """A topic with an unknown placeholder raises SettingError."""
    with pytest.raises(SettingError, match="cannot be filled in"):
        Mqtt(MqttTable(host="x", topic="a/{plant}"), "s")
