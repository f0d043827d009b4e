"""Video files and cameras: frames as they are, faults as events, and no password anywhere."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gagrad_edge.cli import run
from gagrad_edge.errors import FrameError
from gagrad_runtime.station.sources import camera as camera_module
from gagrad_runtime.station.sources.address import is_address, shown
from gagrad_runtime.station.sources.camera import Camera
from gagrad_runtime.station.sources.video import Video
from gagrad_runtime.station.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

av = pytest.importorskip("av")
SERVER = Path(__file__).parent / "rtsp_server.py"


def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    """Wait for ``condition``; the bound only ends a test that would hang."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it took too long"
        time.sleep(0.02)


def write_video(path: Path, count: int, codec: str = "ffv1", kind: str = "gray") -> list[np.ndarray]:
    """Write a video without loss and return its frames."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (48, 64), np.uint8) for _ in range(count)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(10))
        stream.height, stream.width, stream.pix_fmt = 48, 64, kind
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format="gray")
            container.mux(stream.encode(frame if kind == "gray" else frame.reformat(format=kind)))
        container.mux(stream.encode())
    return frames


def test_every_frame_of_a_video_comes_as_it_is(tmp_path: Path) -> None:
    """A video gives each frame once, by number, with the pixels that were encoded, and then ends."""
    frames = write_video(tmp_path / "part.mkv", 5)
    video = Video(tmp_path / "part.mkv", first=2)
    for number in (2, 3, 4):
        (arrival,) = video.poll()
        assert arrival.name == f"part.mkv#{number:06d}"
        assert np.array_equal(arrival.frame().pixels, frames[number])
    assert video.poll() == []
    assert video.ended
    video.close()


@pytest.mark.slow
def test_a_video_goes_on_where_it_was(tiny_bundle: Path, tmp_path: Path) -> None:
    """No frame twice and none left out, though the station ended in the middle."""
    write_video(tmp_path / "part.mkv", 6)
    out = tmp_path / "out"
    with Store(out) as store:
        for number in range(2):
            store.add(f"part.mkv#{number:06d}", str(number), "", state="verdict")
    command = ["watch", str(tiny_bundle), str(tmp_path / "part.mkv"), "-o", str(out), "--samples", "4"]
    assert run([*command, "--queue", "2"]) == 0
    with Store(out) as store:
        assert [row.name for row in store.rows()] == [f"part.mkv#{number:06d}" for number in range(6)]
        assert store.counts() == {"verdict": 2, "explained": 4}  # a file can wait: nothing is dropped
        assert all((out / f"{row.stem}.frame.png").exists() for row in store.rows("explained"))
        assert all(
            row.bytes > (out / f"{row.stem}.frame.png").stat().st_size for row in store.rows("explained")
        )


def test_a_frame_that_waited_is_explained_after_a_restart(tiny_bundle: Path, tmp_path: Path) -> None:
    """It exists nowhere but beside the results."""
    from gagrad_runtime import load
    from gagrad_runtime.station.rule import Rule
    from gagrad_runtime.station.watch import Watch

    write_video(tmp_path / "part.mkv", 1)
    with load(tiny_bundle, device="cpu") as explainer:
        with Store(tmp_path / "out") as store:
            Watch(explainer, Video(tmp_path / "part.mkv"), store, Rule())._verdicts()
            assert store.counts() == {"waiting": 1}
        with Store(tmp_path / "out") as store:
            assert store.removed == 0
            Watch(explainer, Video(tmp_path / "part.mkv", first=1), store, Rule()).run()
            assert store.counts() == {"explained": 1}


def test_a_damaged_video_gives_what_it_can(tmp_path: Path) -> None:
    """A video with damaged bytes gives the frames that can be decoded, and ends."""
    write_video(tmp_path / "part.mkv", 8)
    data = bytearray((tmp_path / "part.mkv").read_bytes())
    rng = np.random.default_rng(1)
    for position in rng.integers(len(data) // 3, len(data) * 2 // 3, 200):
        data[position] ^= 0xFF
    (tmp_path / "part.mkv").write_bytes(data)
    video = Video(tmp_path / "part.mkv")
    came = 0
    while not video.ended:
        came += len(video.poll())
    video.close()
    assert 0 < came <= 8


@pytest.mark.parametrize("content", [b"", b"no video at all", bytes(1000)])
def test_what_is_no_video(tmp_path: Path, content: bytes) -> None:
    """A file that is no video raises FrameError."""
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(FrameError, match="no video that can be read"):
        Video(tmp_path / "x.mp4")


def test_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    """And not cut to 8 in silence."""
    write_video(tmp_path / "deep.mkv", 1, kind="yuv420p10le")
    with pytest.raises(FrameError, match="10-bit video"):
        Video(tmp_path / "deep.mkv").poll()


def test_addresses_are_shown_without_secrets() -> None:
    """A camera's address is shown without user, password and the values of its query."""
    address = "rtsp://user:pa@ss@10.0.0.4:554/stream?token=abc&x="
    assert is_address(address)
    assert not is_address("/mnt/rtsp")
    assert shown(address) == "rtsp://10.0.0.4:554/stream?token=…&x=…"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Server:
    """The RTSP server in a process."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, str(SERVER), str(self.port), *options]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        self.children.append(child)

    def signal(self, number: int) -> None:
        """Send a signal to the newest one."""
        os.kill(self.children[-1].pid, number)
        if number == signal.SIGKILL:
            self.children[-1].wait()


@pytest.fixture
def server(port: int) -> Iterator[Server]:
    one = Server(port)
    yield one
    for child in one.children:
        child.kill()
        child.wait()


@pytest.fixture
def camera(port: int) -> Iterator[Camera]:
    one = Camera(f"rtsp://operator:s3cret@127.0.0.1:{port}/line")
    yield one
    one.close()


@pytest.mark.slow
def test_a_camera_through_its_faults(
    server: Server, camera: Camera, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not there, there, frozen, back, killed, back: each is said once."""
    # On a busy machine the read could give up before the thread that looks for a frozen stream has run.
    monkeypatch.setattr(camera_module, "READ_SECONDS", 120.0)
    caplog.set_level(logging.INFO, "gagrad_runtime")
    until(lambda: camera.state == "lost")
    server.start()
    until(lambda: camera.state == "connected")
    until(lambda: camera.frames > 5)
    (arrival,) = camera.poll()
    assert arrival.name == "127.0.0.1-000001"
    assert arrival.frame().pixels.shape == (96, 128, 3)
    assert camera.overwritten > 0  # the newest counts
    server.signal(signal.SIGSTOP)
    until(lambda: camera.state == "frozen")
    server.signal(signal.SIGCONT)
    until(lambda: camera.state == "connected")
    server.signal(signal.SIGKILL)
    until(lambda: camera.state == "lost")
    server.start()
    until(lambda: camera.state == "connected")
    states = [event.state for event in camera.events()]
    assert not [state for state, following in itertools.pairwise(states) if state == following]
    # A busy machine may starve the server for so long that the camera is rightly called frozen once more.
    following = iter(states)
    for state in ("lost", "connected", "frozen", "connected", "lost", "connected"):
        assert state in following, states
    assert camera.frozen == states.count("frozen")
    assert "s3cret" not in caplog.text
    assert "operator" not in caplog.text


@pytest.mark.slow
def test_the_same_picture_for_long_is_a_frozen_camera(server: Server, camera: Camera) -> None:
    """Though packets come: it gets no new verdicts."""
    server.start("still")
    until(lambda: camera.state == "frozen")
    camera.poll()
    time.sleep(0.5)
    assert camera.poll() == []


@pytest.mark.slow
def test_closing_does_not_wait_for_the_network(
    server: Server, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera closes although its server has stopped answering, and leaves the read to its own time-out."""
    monkeypatch.setattr(camera_module, "READ_SECONDS", 120.0)
    server.start()
    until(lambda: camera.state == "connected")
    server.signal(signal.SIGSTOP)
    until(lambda: camera.state == "frozen")
    camera.close()
    assert camera._thread.is_alive()
    server.signal(signal.SIGCONT)


@pytest.mark.slow
def test_pictures_over_http(tmp_path: Path) -> None:
    """As webcams and many cameras send them: JPEG after JPEG in one answer."""
    from PIL import Image

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in range(100):
                path = tmp_path / "picture.jpg"
                Image.fromarray(np.full((48, 64, 3), number, np.uint8)).save(path)
                data = path.read_bytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + data + b"\r\n")
                except OSError:
                    return
                time.sleep(0.05)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    camera = Camera(f"http://127.0.0.1:{server.server_port}/stream")
    try:
        until(lambda: camera.frames > 3)
        (arrival,) = camera.poll()
        assert arrival.frame().pixels.shape == (48, 64, 3)
    finally:
        camera.close()
        server.shutdown()


@pytest.mark.slow
def test_a_station_at_a_camera(server: Server, port: int, tiny_bundle: Path, tmp_path: Path) -> None:
    """Verdicts and explanations from a camera, and nothing of its password in what is kept or said."""
    server.start()
    out = tmp_path / "out"
    code = "import sys; from gagrad_edge.cli import run; sys.exit(run(sys.argv[1:]))"
    source = f"rtsp://operator:s3cret@127.0.0.1:{port}/line"
    command = [sys.executable, "-c", code, "watch", str(tiny_bundle), source, "-o", str(out), "--json"]
    child = subprocess.Popen(
        [*command, "--samples", "4", "--queue", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    said = b""
    while said.count(b'"explained"') < 2:
        said += child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    rest, errors = child.communicate(timeout=120)
    assert child.returncode == 0
    assert b"s3cret" not in said + rest + errors
    for path in out.iterdir():
        assert b"s3cret" not in path.read_bytes(), path
    with Store(out) as store:
        assert {row.name.rsplit("-", 1)[0] for row in store.rows()} == {"127.0.0.1"}
