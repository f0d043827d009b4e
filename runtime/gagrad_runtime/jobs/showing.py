"""The demo with the viewer: a station and a viewer, each a process of its own, on the demo's parts.

Everything is as on a line: the station is configured by a file, sends its events to the viewer, and gets its
parts as files in a folder. The file stays, as an example of one's own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from importlib import resources
from typing import TYPE_CHECKING

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.cli import say
from gagrad_edge.errors import MissingPackageError, OutputError
from gagrad_runtime.jobs.demonstrating import DEMOS, compile_demo
from gagrad_runtime.language import current, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORT = 8080
"""Port of the viewer, if it is free."""
FIRST, LATER = 1.0, 5.0
"""Seconds between two parts: the first time round, and later."""
_START = 60.0
"""Longest time for the viewer to start, seconds."""
_STATION = """# The demo's station. docs/watch.md says more; examples/station.toml has every key.
bundle = "classifier.gagrad"
source = "parts"
output = "results"
name = "demo"
device = "{device}"
language = "{language}"
{threads}
[rule]
good = ["ok"]

[retention]
keep = 500

[webhook]                      # the viewer
url = "{address}/events"
picture = true
"""


def show_demo(output: Path, *, device: str, threads: int | None) -> int:
    """Compile the demo's classifier, and show its parts in the viewer until Ctrl-C; return the exit code.

    Raises MissingPackageError when the exporter or the viewer is not installed, OutputError when one of the
    processes ends.
    """
    for name in ("litestar", "granian", "jinja2"):
        if importlib.util.find_spec(name) is None:
            raise MissingPackageError(
                f"the viewer needs the package {name}", hint='pip install "gagrad-edge[cpu,export,viewer]"'
            )
    make_folder(output / "parts")
    with resources.as_file(resources.files("gagrad_edge") / "demo") as data, contextlib.ExitStack() as stack:
        bundle = output / "classifier.gagrad"
        say(
            text(
                "{number}. Compiling the {network} into {bundle}",
                number=1,
                network=text(DEMOS[0].title),
                bundle=bundle,
            ),
            err=True,
        )
        compile_demo(DEMOS[0], data, bundle)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        viewer = stack.enter_context(
            _started("viewer", "--data", str(output / "viewer"), "--port", str(_port()))
        )
        address = _address(viewer)
        say(text("2. The viewer is at {address}", address=address), err=True)
        config = _STATION.format(
            device=device,
            language=current(),
            address=address,
            threads="" if threads is None else f"threads = {threads}\n",
        )
        write_atomic(output / "station.toml", [config.encode()])
        station = stack.enter_context(_started("watch", "--config", str(output / "station.toml")))
        say(text("3. A station looks at one part a second. Ctrl-C ends both."), err=True)
        if sys.platform in ("win32", "darwin") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
            webbrowser.open(address)
        for _ in _fed(data / DEMOS[0].frames, output / "parts"):
            _check(viewer, station)
    return 0


def _port() -> int:
    """Return PORT if it is free, else 0, which takes a free one."""
    try:
        with socket.create_server(("127.0.0.1", PORT)):
            return PORT
    except OSError:
        return 0


@contextlib.contextmanager
def _started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run gagrad-edge with ``arguments`` in a process of its own, and end it with the block."""
    program = [sys.executable, "-c", "from gagrad_edge.entry import main; main()", *arguments]
    error = subprocess.PIPE if arguments[0] == "viewer" else None
    # A session of its own: Ctrl-C in the terminal is for this process alone, which then ends both in order.
    process = subprocess.Popen(program, stderr=error, start_new_session=True)  # noqa: S603 - ourselves
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=6)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(viewer: subprocess.Popen[bytes]) -> str:
    """Return the address that the viewer says it is at. Raises OutputError."""
    assert viewer.stderr is not None  # noqa: S101 - it is a pipe
    said = b""
    until = time.monotonic() + _START
    while time.monotonic() < until and (line := viewer.stderr.readline()):
        said += line
        if found := re.search(rb"https?://\S+:\d+", line):
            return found.group().decode()
    raise OutputError(
        "the viewer did not start", where="viewer", hint=said.decode("utf-8", "replace").strip()
    )


def _fed(samples: Path, folder: Path) -> Iterator[None]:
    """Put the parts of ``samples`` into ``folder``, one after the other, again and again."""
    parts = sorted(samples.iterdir())
    began = time.strftime("%H%M%S")
    for round_number in itertools.count(1):
        for part in parts:
            name = f"{part.stem}-{began}-{round_number}{part.suffix}"
            hidden = folder / f".{name}"
            shutil.copyfile(part, hidden)
            hidden.replace(folder / name)
            until = time.monotonic() + (FIRST if round_number == 1 else LATER)
            while time.monotonic() < until:
                time.sleep(0.1)
                yield
        for old in folder.glob(f"*-{began}-{round_number - 1}.*"):
            old.unlink(missing_ok=True)


def _check(viewer: subprocess.Popen[bytes], station: subprocess.Popen[bytes]) -> None:
    """Raise OutputError when one of the processes has ended."""
    for name, process in (("viewer", viewer), ("watch", station)):
        if process.poll() is not None:
            raise OutputError(
                f"it ended with code {process.returncode}", where=name, hint="what it said stands above"
            )
