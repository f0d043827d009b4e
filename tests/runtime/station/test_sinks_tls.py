"""Receivers over TLS: the named authority is trusted and no other, and secrets come from files."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from gagrad_edge.errors import SettingError
from gagrad_runtime.station.config import MqttTable, WebhookTable
from gagrad_runtime.station.sinks import delivery as delivery_module
from gagrad_runtime.station.sinks.delivery import Delivery
from gagrad_runtime.station.sinks.mqtt import Mqtt
from gagrad_runtime.station.sinks.webhook import Webhook
from gagrad_runtime.station.store import Store
from tests.runtime.certificates import make
from tests.runtime.station.receiving import PLACES, Receiver, add, until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(delivery_module, "LONGEST_PAUSE", 0.1)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority, ``ca.pem``, and what it signed for 127.0.0.1."""
    return make(tmp_path_factory.mktemp("tls"))


@pytest.mark.slow
def test_a_webhook_over_tls_trusts_the_named_authority_only(
    tmp_path: Path, receiver: Receiver, certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A webhook delivers over TLS only to a server whose certificate the named authority signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "host.pem", certificates / "host.key")
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    url = receiver.url.replace("http://", "https://")
    with Store(tmp_path, sinks=["webhook"]) as store:
        add(store, 2)
        delivery = Delivery(store, [Webhook(WebhookTable(url=url), "s")], "s")
        until(lambda: "certificate verify failed" in caplog.text.lower())
        delivery.close()
        assert receiver.got == []
        trusting = WebhookTable(url=url, ca=str(certificates / "ca.pem"))
        delivery = Delivery(store, [Webhook(trusting, "s")], "s")
        until(lambda: len(receiver.got) == 2)
        delivery.close()
    with pytest.raises(SettingError, match="cannot be read"):
        Webhook(WebhookTable(url=url, ca=str(tmp_path / "no.pem")), "s")


def test_a_mosquitto_over_tls_with_a_password(tmp_path: Path, certificates: Path) -> None:
    """A real mosquitto with TLS and a password gets every event."""
    program, make = (shutil.which(name, path=PLACES) for name in ("mosquitto", "mosquitto_passwd"))
    if program is None or make is None:
        pytest.skip("no mosquitto here")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    passwords = tmp_path / "passwords"
    subprocess.run([make, "-b", "-c", str(passwords), "line-4", "s3cret"], check=True, capture_output=True)
    passwords.chmod(0o644)
    (tmp_path / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nuser root\n"
        f"cafile {certificates}/ca.pem\ncertfile {certificates}/host.pem\nkeyfile {certificates}/host.key\n"
    )
    (tmp_path / "password").write_text("s3cret\n")
    child = subprocess.Popen([program, "-c", str(tmp_path / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    table = MqttTable(
        host="127.0.0.1",
        port=port,
        tls=True,
        ca=str(certificates / "ca.pem"),
        username="line-4",
        password_file=str(tmp_path / "password"),
        topic="line-4",
    )
    try:
        until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        with Store(tmp_path / "out", sinks=["mqtt"]) as store:
            add(store, 3)
            delivery = Delivery(store, [Mqtt(table, "s")], "s")
            until(lambda: "mqtt" in delivery.status and delivery.status["mqtt"].waiting == 0)
            delivery.close()
            assert store.index.row("SELECT delivered FROM cursor") == (3,)
    finally:
        child.terminate()
        child.wait()
