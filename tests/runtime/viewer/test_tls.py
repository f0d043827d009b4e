"""The viewer over TLS, in a process of its own: a station's events, people who sign in, look and label."""

from __future__ import annotations

import csv
import io
import re
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from gagrad_runtime.station.config import WebhookTable
from gagrad_runtime.station.events import VerdictEvent, encode, now
from gagrad_runtime.station.sinks.delivery import Delivery
from gagrad_runtime.station.sinks.webhook import Webhook
from gagrad_runtime.station.store import Store
from gagrad_runtime.web.passwords import password_line
from tests.runtime.certificates import make
from tests.runtime.station.receiving import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
_VIEWER = "from gagrad_runtime.commands.viewer import viewer; viewer()"


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[str]:
    """Return the address of a viewer with TLS, two people and a token; its files are in ``tmp_path``."""
    make(tmp_path)
    lines = [password_line("hana", "label", "12345678"), password_line("ken", "see", "12345678")]
    (tmp_path / "passwords").write_text("\n".join(lines) + "\n")
    (tmp_path / "token").write_text("a-token-of-the-stations-of-this-plant\n")
    command = [sys.executable, "-c", _VIEWER, "--data", str(tmp_path / "data"), "--host", "0.0.0.0"]  # noqa: S104
    command += ["--port", "0", "--name", "127.0.0.1"]
    for name, file in (
        ("certificate", "host.pem"),
        ("key", "host.key"),
        ("password-file", "passwords"),
        ("token-file", "token"),
    ):
        command += [f"--{name}", str(tmp_path / file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"https://[\d.]+:(\d+)", line)
    try:
        assert found is not None, line
        yield f"https://127.0.0.1:{found.group(1)}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def signed_in(address: str, folder: Path, name: str) -> httpx.Client:
    """Return a client that trusts the test's authority, after a login."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    client = httpx.Client(base_url=address, verify=context, headers={"accept": "text/html"}, timeout=30)
    answer = client.post("/login", data={"name": name, "password": "12345678"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= set(answer.headers["set-cookie"].split("; "))
    return client


def test_events_come_and_people_look_and_label_over_tls(secure: str, tmp_path: Path) -> None:
    """A station delivers; who may see sees the part; who may label labels it, others not; nor other sites."""
    table = WebhookTable(
        url=f"{secure}/events", ca=str(tmp_path / "ca.pem"), token_file=str(tmp_path / "token")
    )
    event = VerdictEvent(
        time=now(), file="a.png", part="SN0042", verdict="dent", probability=0.9, explain=False, seconds=0.01
    )
    with Store(tmp_path / "out", sinks=["webhook"]) as store:
        store.add("a.png", "0" * 64, event.time, state="verdict", event=event)
        delivery = Delivery(store, [Webhook(table, "line-4")], "line-4")
        until(lambda: "webhook" in delivery.status and not delivery.status["webhook"].waiting)
        delivery.close()
        assert (delivery.status["webhook"].refused, delivery.trouble) == (0, {})
    hana, ken = signed_in(secure, tmp_path, "hana"), signed_in(secure, tmp_path, "ken")
    assert hana.post("/events", content=encode(event)).status_code == 401  # a session is no token
    assert "SN0042" in ken.get("/").text
    assert "SN0042" in ken.get("/history", params={"search": "n004"}).text
    form = {"frame": "1", "label": "dent", "next": "/queue"}
    assert ken.post("/labels", data=form).status_code == 403
    assert hana.post("/labels", data=form, headers={"origin": "https://evil.example"}).status_code == 403
    assert hana.post("/labels", data=form, headers={"origin": secure}).status_code == 303
    labels = list(csv.DictReader(io.StringIO(ken.get("/export/labels/csv").text.lstrip("\ufeff"))))
    assert [(one["part"], one["label"], one["who"]) for one in labels] == [("SN0042", "dent", "hana")]
    for client in (hana, ken):
        client.close()


def test_without_the_authority_there_is_no_connection(secure: str) -> None:
    """A client that does not trust the plant's authority refuses, and plain HTTP gets no page."""
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(secure)
    with pytest.raises(httpx.HTTPError):
        httpx.get(secure.replace("https", "http"), timeout=10)
