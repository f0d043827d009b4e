"""Nothing calls out: every engine and command in a network namespace that has no network at all.

What this sees: each ``connect`` and each datagram that Linux's ``strace`` shows, of the process and of its
children, whatever library makes it; where there is no strace, those of Python only, by its audit hook. Files
are looked for in a fresh HOME. What it cannot see: an engine that is not installed here, and what would be
sent only after the command's time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gagrad_edge.errors import DeviceError

_MAIN = "import sys; from gagrad_edge.cli import main; main()"
_HOOK = """
import os, sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        with open(os.environ["GAGRAD_EDGE_TESTS_CALLS"], "a") as stream:
            stream.write(f"{event} {arguments[1:]!r}\\n")
sys.addaudithook(hook)
"""


def _alone() -> bool:
    """Whether this machine lets us make a network namespace."""
    unshare = shutil.which("unshare")
    return (
        unshare is not None
        and not subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False).returncode
    )


def _outside(trace: str) -> list[str]:
    """Return the calls of an strace that leave the machine; local sockets and the loopback do not."""
    calls = [line for line in trace.splitlines() if re.search(r"\b(connect|sendto|sendmsg)\(", line)]
    away = [line for line in calls if "sin_addr" in line or "sin6_addr" in line]
    return [line for line in away if not re.search(r'"127\.|"::1"', line)]


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    import numpy as np
    from PIL import Image

    path = tmp_path / "frame.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)).save(path)
    return path


@pytest.mark.slow
@pytest.mark.skipif(not _alone(), reason="no network namespace may be made here")
@pytest.mark.parametrize(
    "command",
    [
        "explain BUNDLE FRAME -o OUT --samples 4 --device cpu",
        "explain BUNDLE FRAME -o OUT --samples 4 --device openvino",
        "build BUNDLE --device tensorrt-rtx",
        "predict BUNDLE FRAME --device cpu",
        "verify BUNDLE --device cpu",
        "verify BUNDLE --device openvino",
        "inspect BUNDLE",
        "bench BUNDLE --device cpu --frames 2",
        "calibrate BUNDLE FRAME -o OUT/part.good --device cpu",
        "evaluate BUNDLE FRAME -o OUT --device cpu",
        "watch BUNDLE IN -o OUT --once --device cpu",
        "export MODEL -o OUT/model.gagrad --size 24 32",
        "demo -o OUT --device cpu",
        "doctor",
        "keygen OUT/key",
    ],
)
def test_nothing_calls_out(command: str, tiny_bundle: Path, frame: Path, tmp_path: Path) -> None:
    """No file outside our own folders and no call beyond the loopback, whatever engine this machine lacks."""
    home, out, incoming = tmp_path / "home", tmp_path / "out", tmp_path / "in"
    for folder in (home, out, incoming):
        folder.mkdir()
    shutil.copy(frame, incoming)
    places = {
        "BUNDLE": tiny_bundle,
        "FRAME": frame,
        "OUT": out,
        "IN": incoming,
        "MODEL": tiny_bundle.with_suffix(".onnx"),
    }
    words = [re.sub("|".join(places), lambda name: str(places[name[0]]), word) for word in command.split()]
    calls, trace = tmp_path / "calls.txt", tmp_path / "trace.txt"
    hidden = (
        "CI",
        "ORT_DISABLE_TELEMETRY",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
    )
    ours = {name: value for name, value in os.environ.items() if name not in hidden}
    ours |= {"HOME": str(home), "GAGRAD_EDGE_TESTS_CALLS": str(calls)}
    strace = shutil.which("strace")
    watched = [strace, "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace)] if strace else []
    done = subprocess.run(
        ["unshare", "-rn", *watched, sys.executable, "-c", _HOOK + _MAIN, *words],
        capture_output=True,
        check=False,
        env=ours,
        timeout=300,
    )
    assert done.returncode in (0, DeviceError.exit_code), done.stderr.decode()
    assert not calls.exists(), calls.read_text()
    assert _outside(trace.read_text() if trace.exists() else "") == []
    left = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert left <= {(".cache", "gagrad-edge"), (".local", "state")}, left


@pytest.mark.skipif(not _alone(), reason="no network namespace may be made here")
def test_a_call_would_be_seen(tmp_path: Path) -> None:
    """The check itself finds a program that calls out."""
    calls = tmp_path / "calls.txt"
    code = (
        _HOOK
        + "import socket\ntry: socket.create_connection(('192.0.2.1', 80), timeout=1)\nexcept OSError: pass"
    )
    environment = {**os.environ, "GAGRAD_EDGE_TESTS_CALLS": str(calls)}
    subprocess.run(["unshare", "-rn", sys.executable, "-c", code], check=True, env=environment)
    assert "socket.connect" in calls.read_text()
    seen = 'connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("8.8.8.8")}, 16)'
    assert _outside(seen) == [seen]
    assert _outside(seen.replace("8.8.8.8", "127.0.0.1")) == []
