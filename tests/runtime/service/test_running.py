"""Running: what the command refuses to start, who is answered, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import httpx
import pytest

from gagrad_edge.cli import run
from gagrad_edge.errors import SettingError
from gagrad_runtime.service.running import Where, run_service
from tests.serving import serving

TOKEN = "a-token-of-this-test"  # noqa: S105 - of this test


def test_other_devices_are_not_answered_without_tls_and_token(tiny_bundle: Path) -> None:
    """The service does not start, and says what is missing."""
    with pytest.raises(SettingError, match=r"TLS .* and a token"):
        run_service([tiny_bundle], Where(host="0.0.0.0", port=0))  # noqa: S104 - which is the point


def test_half_a_certificate_is_refused(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A certificate without its key is wrong usage."""
    assert run(["serve", str(tiny_bundle), "--certificate", "cert.pem"]) == 2
    assert "needs a certificate and its key" in capsys.readouterr().err


@pytest.mark.slow
def test_with_a_token_nobody_else_is_answered(tiny_bundle: Path, tmp_path: Path) -> None:
    """On a loopback address too, where one is given; the refusal has the protocol's form."""
    (tmp_path / "token").write_text(TOKEN)
    where = Where(port=0, token_file=tmp_path / "token", names=("camera.plant",))
    with serving([tiny_bundle], where=where) as served, httpx.Client(base_url=served.address) as client:
        for headers in ({}, {"authorization": "Bearer another-token-0000"}):
            refused = client.get("/v2", headers=headers)
            assert refused.status_code == 401
            assert list(refused.json()) == ["error"]
        ours = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/v2", headers=ours).status_code == 200
        assert client.get("/v2", headers={**ours, "host": "camera.plant"}).status_code == 200
        assert client.get("/v2", headers={**ours, "host": "other.plant"}).status_code == 403


@pytest.mark.slow
def test_the_command_serves_and_ends_on_sigterm(tiny_bundle: Path) -> None:
    """It says where when it answers, and ends with code 0 within five seconds."""
    code = "import sys; from gagrad_edge.cli import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "serve", str(tiny_bundle), "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "tiny.predict, tiny.saliency, tiny.explain" in line
        with urllib.request.urlopen(f"{line.split()[0]}/health/live", timeout=10) as answer:  # noqa: S310
            assert answer.read() == b'{"live":true}'
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5
