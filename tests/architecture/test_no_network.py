"""Nothing calls out: every engine and command in a network namespace that has no network at all.

What this sees: each ``connect`` and each datagram that Linux's ``strace`` shows, of the process and of its
children, whatever library makes it, and each file and folder that is made outside the test's own; where there
is no strace, calls of Python only, by its audit hook. Files are looked for in a fresh HOME, too. What it
cannot see: an engine that is not installed here, and what would be sent only after the command's time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gagrad_edge.errors import DeviceError, FrameError, ModelError

_MAIN = """
import json, sys
from gagrad_edge.cli import run
for line in json.loads(sys.argv[1]):
    print(json.dumps({"line": line, "code": run(line)}), file=sys.stderr)
"""
"""Runs commands one after another, and says the exit code of each."""
_HOOK = """
import os, sys
def hook(event, arguments):
    asked = event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")
    if asked and not any("127.0.0.1" in str(one) for one in arguments[1:]):
        with open(os.environ["GAGRAD_EDGE_TESTS_CALLS"], "a") as stream:
            stream.write(f"{event} {arguments[1:]!r}\\n")
sys.addaudithook(hook)
"""


def network() -> Any:
    """Return a small torch module, which one of the commands exports."""
    import torch

    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )


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


def _made(trace: str, ours: Path) -> list[str]:
    """Return the files and folders that an strace shows being made, other than those below ``ours``."""
    makes = re.compile(r"O_CREAT|\b(mkdir|mkdirat|symlink|link)\(")
    lines = [line for line in trace.splitlines() if makes.search(line) and " = -1 " not in line]
    names = [name[1] for line in lines if (name := re.search(r'"(/[^"]*)"', line)) is not None]
    # What multiprocessing shares, and the mark by which the kernel ends a decoding child first.
    shared = ("/dev/shm/sem.", "/dev/shm/pym-", "/proc/self/oom_score_adj")  # noqa: S108
    allowed = (f"{ours}/", "/dev/null", *shared)
    return [name for name in names if not name.startswith(allowed)]


_COMMANDS = {
    "onnxruntime": [
        "explain BUNDLE FRAME -o OUT --samples 4 --device cpu",
        "explain BUNDLE IN --recursive --html --full --json -o OUT/many --samples 4 --device cpu",
        "predict BUNDLE FRAME --device cpu",
        "verify BUNDLE --device cpu",
        "verify SIGNED --key KEY.pub --device cpu",
        "inspect BUNDLE",
        "inspect BUNDLE --json",
        "bench BUNDLE --device cpu --frames 2",
        "calibrate BUNDLE FRAME -o OUT/part.good --device cpu",
        "check BUNDLE --check IN/*.png=ok --check-at-least 0 --device cpu",
        "evaluate BUNDLE FRAME -o OUT/evaluated --device cpu",
        "audit BUNDLE IN -o OUT/audit --device cpu",
        "clusters IN --device cpu",
        "queue IN",
        "watch BUNDLE IN -o OUT/checked --check --config STATION",
        "watch BUNDLE IN -o OUT/station --once --device cpu",
    ],
    "openvino": [
        "explain BUNDLE FRAME -o OUT --samples 4 --device openvino",
        "build BUNDLE --device openvino",
    ],
    "tensorrt": ["build BUNDLE --device tensorrt-rtx"],
    "onnx": [
        "export MODEL -o OUT/model.gagrad --size 24 32",
        "export MODEL -o OUT/served.gagrad --size 24 32 --triton OUT/triton",
    ],
    "no engine": [
        "keygen OUT/key",
        "sign BUNDLE --key KEY.key --product part --version 1 -o OUT/signed.gagrad",
        "doctor",
        "doctor --json",
    ],
    "service": ["serve BUNDLE --port 0 --device cpu"],
    "viewer": ["viewer --data OUT/viewer --port 0"],
    # What the tests' network has of an index: nothing. So packing fails, and must ask no other.
    "uv": ["pack SIGNED --platform linux-x86_64 --key KEY.pub --index-url http://127.0.0.1:9/ -o OUT/kit"],
}
"""Commands by what they load; those of one entry run in one process."""
_HEAVY = {
    "openvino, every graph": ["verify BUNDLE --device openvino"],
    "demo": ["demo -o OUT --device cpu"],
    "torch": ["export tests.architecture.test_no_network:network -o OUT/model.gagrad --size 24 32"],
    "cuda": ["explain BUNDLE FRAME -o OUT --samples 4 --device cuda"],
    "station": ["watch BUNDLE IN -o OUT --once --device cpu --config STATION"],
}
_ENDS = {"pack": ModelError.exit_code, "clusters": FrameError.exit_code, "queue": FrameError.exit_code}
"""Exit codes of what cannot be done here: packing needs an index, and the folder is no audit."""
_SERVERS = {"serve", "viewer"}
"""Commands that go on until they are told to end."""
_ELSEWHERE = {"pack": {(".cache", "uv"), (".cache", "pip"), (".rustup", "settings.toml")}}
"""What uv and pip keep, and rustup, whose version pip asks for: a command that is there to run them."""


def test_every_command_is_tried() -> None:
    """A new command is named here, too."""
    import click

    from gagrad_edge.cli import group

    tried = {line.split()[0] for lines in (_COMMANDS | _HEAVY).values() for line in lines}
    assert tried == set(group.list_commands(click.Context(group)))


@pytest.mark.slow
@pytest.mark.skipif(not _alone(), reason="no network namespace may be made here")
@pytest.mark.parametrize(
    "lines",
    [
        *(pytest.param(lines, id=name) for name, lines in _COMMANDS.items()),
        *(pytest.param(lines, id=name, marks=pytest.mark.long) for name, lines in _HEAVY.items()),
    ],
)
def test_nothing_calls_out(lines: list[str], tiny_bundle: Path, frame: Path, tmp_path: Path) -> None:
    """No file outside our own folders and no call beyond the loopback, whatever engine this machine lacks."""
    from gagrad_edge.cli import run

    home, out, incoming, temporary = (tmp_path / name for name in ("home", "out", "in", "temporary"))
    for folder in (home, out, incoming, temporary):
        folder.mkdir()
    shutil.copy(frame, incoming)
    key, signed, station = tmp_path / "release", tmp_path / "signed.gagrad", tmp_path / "station.toml"
    station.write_text('[webhook]\nurl = "http://127.0.0.1:9/"\n[metrics]\nport = 0\n')
    if "KEY" in " ".join(lines):
        assert run(["keygen", str(key)]) == 0
        sign = ["sign", str(tiny_bundle), "--key", f"{key}.key", "--product", "part", "--version", "1"]
        assert run([*sign, "-o", str(signed)]) == 0
    places = {
        "BUNDLE": tiny_bundle,
        "SIGNED": signed,
        "STATION": station,
        "FRAME": frame,
        "OUT": out,
        "IN": incoming,
        "KEY": key,
        "MODEL": tiny_bundle.with_suffix(".onnx"),
    }
    asked = [
        [re.sub("|".join(places), lambda name: str(places[name[0]]), word) for word in line.split()]
        for line in lines
    ]
    commands = {words[0] for words in asked}
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
    ours |= {"HOME": str(home), "GAGRAD_EDGE_TESTS_CALLS": str(calls), "TMPDIR": str(temporary)}
    strace = shutil.which("strace")
    seen = "trace=connect,sendto,sendmsg,openat,open,creat,mkdir,mkdirat,link,symlink"
    watched = [strace, "-f", "-qq", "-s", "400", "-e", seen, "-o", str(trace)] if strace else []
    until = ["timeout", "--preserve-status", "-s", "TERM", "8"] if commands & _SERVERS else []
    done = subprocess.run(
        ["unshare", "-rn", *until, *watched, sys.executable, "-B", "-c", _HOOK + _MAIN, json.dumps(asked)],
        capture_output=True,
        check=False,
        env=ours,
        timeout=300,
    )
    said = done.stderr.decode()
    # A loaded machine may tell a server to end before it can end by itself.
    assert done.returncode in (*([143] if until else []), 0), said
    ends = [json.loads(line) for line in said.splitlines() if line.startswith('{"line"')]
    assert until or [each["line"] for each in ends] == asked, said
    assert [
        each for each in ends if each["code"] not in (0, _ENDS.get(each["line"][0], DeviceError.exit_code))
    ] == [], said
    assert not calls.exists(), calls.read_text()
    text = trace.read_text() if trace.exists() else ""
    assert _outside(text) == []
    assert _made(text, tmp_path) == []
    # torch makes the folder of its compiler's cache when it is imported.
    assert [path for path in temporary.iterdir() if not path.name.startswith("torchinductor_")] == []
    left = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    left -= {place for name in commands for place in _ELSEWHERE.get(name, set())}
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


def test_a_file_elsewhere_would_be_seen() -> None:
    """The check itself finds a file that is made outside the test's folder."""
    lines = [
        'openat(AT_FDCWD, "/home/a/.config/maker", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 3',
        'openat(AT_FDCWD, "/ours/x", O_WRONLY|O_CREAT, 0666) = 3',
        'openat(AT_FDCWD, "/etc/x", O_WRONLY|O_CREAT, 0666) = -1 EACCES (Permission denied)',
        'openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3',
        'mkdir("/var/maker", 0777) = 0',
    ]
    assert _made("\n".join(lines), Path("/ours")) == ["/home/a/.config/maker", "/var/maker"]
