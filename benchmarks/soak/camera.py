"""An RTSP server that is frozen, killed and started again: the camera must notice and deliver frames again.

python -m benchmarks.soak.camera [ROUNDS]        (a quarter of a minute each; writes its section of docs/soak.md)

The server is GStreamer's where Debian's python3-gi and gir1.2-gst-rtsp-server-1.0 are installed, else the small one of our tests.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.soak.section import write_section
from benchmarks.table import markdown
from gagrad_runtime.station.sources.camera import Camera

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 50
BACK, FROZEN = 15.0, 3.0
"""Bars, seconds."""
_OURS = Path(__file__).parents[2] / "tests" / "runtime" / "station" / "rtsp_server.py"
_GSTREAMER = Path(__file__).with_name("gstreamer_server.py")


def main() -> int:
    """Run the rounds, and return 1 if a time is over its bar."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    rng = np.random.default_rng(0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command, name = _server()
    times: dict[str, list[float]] = {
        "frozen server noticed": [],
        "frames again after freezing": [],
        "killed server noticed": [],
        "frames again after killing": [],
    }
    child = _start(command, port)
    camera = Camera(f"rtsp://127.0.0.1:{port}/line")
    used = []
    try:
        _until(lambda: camera.state == "connected")
        for turn in range(rounds):
            _flowing(camera)
            used.append(_usage())
            os.kill(child.pid, signal.SIGSTOP)
            times["frozen server noticed"].append(_until(lambda: camera.state == "frozen"))
            time.sleep(float(rng.uniform(0, 8)))
            os.kill(child.pid, signal.SIGCONT)
            times["frames again after freezing"].append(_until(lambda: camera.state == "connected"))
            _flowing(camera)
            child.kill()
            child.wait()
            times["killed server noticed"].append(_until(lambda: camera.state == "lost"))
            time.sleep(float(rng.uniform(0, 8)))
            child = _start(command, port)
            times["frames again after killing"].append(_until(lambda: camera.state == "connected"))
            print(turn + 1, {key: round(values[-1], 2) for key, values in times.items()}, flush=True)
    finally:
        camera.close()
        child.kill()
        child.wait()
    bars = {
        "frozen server noticed": FROZEN,
        "frames again after freezing": BACK,
        "killed server noticed": FROZEN,
        "frames again after killing": BACK,
    }
    rows = [
        (key, f"{np.median(values):.2f}", f"{max(values):.2f}", f"{bars[key]:.0f}")
        for key, values in times.items()
    ]
    (memory, threads, files), (memory_end, threads_end, files_end) = used[min(3, len(used) - 1)], used[-1]
    text = f"""A camera reads from an RTSP server ({name}). The server is frozen (SIGSTOP) for up to 8 s and continued, then killed (SIGKILL) and started again up to 8 s
later; {rounds} times. Times in seconds:

{markdown(("", "median", "worst", "bar"), rows)}
Between the fourth round and the last: memory {memory:.0f} → {memory_end:.0f} MB, threads {threads} → {threads_end}, descriptors {files} → {files_end}."""
    write_section("A camera that fails", "python -m benchmarks.soak.camera", text, "av")
    return int(any(max(values) > bars[key] for key, values in times.items()))


def _server() -> tuple[list[str], str]:
    probe = ["/usr/bin/python3", "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"]
    if Path(probe[0]).exists() and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return [probe[0], str(_GSTREAMER)], "GStreamer's, H.264, 640×480, 15 frames a second"
    return [sys.executable, str(_OURS)], "the small one of our tests, H.264, 128×96, 10 frames a second"


def _start(command: list[str], port: int) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([*command, str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if child.stdout is None or child.stdout.readline() != b"ready\n":
        raise RuntimeError("the server does not start")
    return child


def _flowing(camera: Camera) -> None:
    """Wait until the camera delivers frames, so that the next fault meets a working camera."""
    before = camera.frames
    _until(lambda: camera.frames > before + 20)
    camera.poll()
    camera.events()


def _until(condition: Callable[[], bool], seconds: float = 60.0) -> float:
    """Wait until the condition holds; return the waiting time in seconds, or the time limit if it never holds."""
    began = time.monotonic()
    while not condition() and time.monotonic() - began < seconds:
        time.sleep(0.02)
    return time.monotonic() - began


def _usage() -> tuple[float, int, int]:
    """Return resident megabytes, threads and descriptors of this process."""
    fields = Path("/proc/self/statm").read_text().split()
    memory = int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return memory, threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir())


if __name__ == "__main__":
    sys.exit(main())
