"""Decoding in a child process."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.soak.image_mutations import originals
from gagrad_edge.errors import FrameError
from gagrad_runtime.frame import decoder as module
from gagrad_runtime.frame import decoder_process as process_module
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.decoder import ChildDecoder, SlowError

pytestmark = pytest.mark.slow  # each starts a process


@pytest.fixture(scope="module")
def decoder() -> Iterator[ChildDecoder]:
    with ChildDecoder() as one:
        yield one


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _gone(pid: int) -> bool:
    until = time.monotonic() + 20
    while _alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not _alive(pid)


def _descriptors(decoder: ChildDecoder) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (os.getpid(), decoder.pid))


def test_it_gives_the_frame_that_this_process_would_give(decoder: ChildDecoder, tmp_path: Path) -> None:
    """Pixels, notes, EXIF, name and errors, of files of every format."""
    path = tmp_path / "part.png"
    files = [data for form in originals().values() for data in form]
    files += [b"no image", files[0][:100]]
    for data in files:
        path.write_bytes(data)
        try:
            wanted = load_frame(path)
        except FrameError as error:
            with pytest.raises(FrameError) as caught:
                decoder.load(str(path))
            assert str(caught.value) == str(error)  # noqa: PT017 - compared with another way's error
            continue
        found = decoder.load(str(path))
        np.testing.assert_array_equal(found.pixels, wanted.pixels)
        assert found.pixels.dtype == wanted.pixels.dtype
        assert (found.source, found.notes, found.exif) == (wanted.source, wanted.notes, wanted.exif)
        assert not found.pixels.flags.writeable


def test_the_bytes_of_a_file_pass_without_a_file(
    decoder: ChildDecoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame and the errors are those of ``load_frame``; no file is made, no descriptor stays open."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    files = [data for form in originals().values() for data in form]
    decoder.load(files[0])
    before = _descriptors(decoder)
    for data in [*files, b"no image", files[0][:100], b""]:
        try:
            wanted = load_frame(data, name="frame")
        except FrameError as error:
            with pytest.raises(FrameError) as caught:
                decoder.load(data, name="frame")
            assert caught.value.what == error.what  # noqa: PT017 - compared with another way's error
            assert caught.value.where == "frame"
            continue
        found = decoder.load(data, name="frame")
        np.testing.assert_array_equal(found.pixels, wanted.pixels)
        assert (found.source, found.notes, found.exif) == ("frame", wanted.notes, wanted.exif)
        del found
    assert _descriptors(decoder) <= before  # memories may be given back meanwhile
    assert list(tmp_path.iterdir()) == []


def test_channels_and_arrays_pass_too(decoder: ChildDecoder, tmp_path: Path) -> None:
    """A .npy file of five lights, and of floats, which state their white."""
    lights = np.random.default_rng(0).integers(0, 4096, (20, 30, 5)).astype(np.uint16)
    np.save(tmp_path / "part.npy", lights)
    found = decoder.load(str(tmp_path / "part.npy"), "channels")
    np.testing.assert_array_equal(found.pixels, lights)
    np.save(tmp_path / "part.npy", (lights[..., 0] / 4095).astype(np.float32))
    assert decoder.load(str(tmp_path / "part.npy")).white == 65535


def test_frames_that_are_in_use_keep_their_pixels(decoder: ChildDecoder, tmp_path: Path) -> None:
    """Memory is used again only when no array of an earlier frame is left, a view of it included."""
    frames = []
    for value in range(6):
        path = tmp_path / f"{value}.png"
        cv2.imwrite(str(path), np.full((50, 60, 3), value, np.uint8))
        frames.append(decoder.load(str(path)).pixels[10:20])
    for value, pixels in enumerate(frames):
        assert (pixels == value).all()


def test_the_systems_error_stays_its_cause(decoder: ChildDecoder, tmp_path: Path) -> None:
    """By it the station knows what may be over soon."""
    (tmp_path / "part.png").symlink_to("part.png")
    with pytest.raises(FrameError) as caught:
        decoder.load(str(tmp_path / "part.png"))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ELOOP


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "crashed the decoder .SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "for want of memory"),
        ("while True: pass", "far longer than its size allows"),
        ("b = []\nwhile True: b.append(bytes(1 << 20))", "not enough memory"),
        ("raise RuntimeError", "crashed the decoder .code 1"),
    ],
)
def test_a_file_that_ends_or_stops_the_child_is_refused_and_the_next_is_decoded(
    code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash, a kill, an endless loop, all memory, a defect: each is that file's error."""
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((9, 9), np.uint8))
    (tmp_path / "bad.png").write_bytes(b"bad")
    body = "\n    ".join(code.splitlines())
    patch = (
        "import gagrad_runtime.frame.decoder_child as child\n"
        "real = child.load_frame\n"
        "def load_frame(data, **more):\n"
        "    if data != b'bad': return real(data, **more)\n"
        f"    {body}\n"
        "child.load_frame = load_frame\n"
    )
    start = "import sys; sys.path[:] = sys.argv[2:]\n" + patch + "child.child()"
    monkeypatch.setattr(process_module, "_CHILD", start)
    with ChildDecoder() as one:
        with pytest.raises(FrameError, match=words):
            one.load(str(tmp_path / "bad.png"))
        assert one.load(str(tmp_path / "good.png")).pixels.shape == (9, 9)


def test_patience_ends_a_slow_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SlowError, which is no judgement on the file."""
    start = (
        "import sys; sys.path[:] = sys.argv[2:]\n"
        "import time, gagrad_runtime.frame.decoder_child as child\n"
        "child.load_frame = lambda *_, **__: time.sleep(100)\n"
        "child.child()"
    )
    monkeypatch.setattr(process_module, "_CHILD", start)
    (tmp_path / "slow.png").write_bytes(b"slow")
    with ChildDecoder() as one:
        one.patience = 0.2
        with pytest.raises(SlowError):
            one.load(str(tmp_path / "slow.png"))


def test_the_next_file_does_not_wait_for_the_start_of_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a file is slow another child starts, and takes over when the first is ended."""
    start = (
        "import sys; sys.path[:] = sys.argv[2:]\n"
        "import time, gagrad_runtime.frame.decoder_child as child\n"
        "real = child.load_frame\n"
        "def load_frame(data, **more):\n"
        "    if data == b'slow': time.sleep(100)\n"
        "    return real(data, **more)\n"
        "child.load_frame = load_frame\n"
        "child.child()"
    )
    monkeypatch.setattr(process_module, "_CHILD", start)
    (tmp_path / "slow.png").write_bytes(b"slow")
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((9, 9), np.uint8))
    with ChildDecoder() as one:
        one.load(str(tmp_path / "good.png"))
        first, started = one.pid, module.DecoderProcess
        spare: list[int] = []

        def start_one() -> process_module.DecoderProcess:
            process = started()
            assert process.wait()  # as it is after the patience of a station
            spare.append(process.pid)
            return process

        monkeypatch.setattr(module, "DecoderProcess", start_one)
        one.patience = 1.0
        with pytest.raises(SlowError):
            one.load(str(tmp_path / "slow.png"))
        assert [one.pid] == spare
        assert first is not None
        assert _gone(first)
        assert one.load(str(tmp_path / "good.png")).pixels.shape == (9, 9)
        assert [one.pid] == spare


def test_a_name_that_is_no_utf8_is_decoded_and_an_error_names_it(
    tmp_path: Path, decoder: ChildDecoder
) -> None:
    """Names are bytes on Linux."""
    good, bad = (
        os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"),
        os.fsdecode(os.fsencode(tmp_path) + b"/\xfe.png"),
    )
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((9, 9), np.uint8))
    (tmp_path / "good.png").rename(good)
    Path(bad).write_bytes(b"no image")
    assert decoder.load(good).pixels.shape == (9, 9)
    with pytest.raises(FrameError, match="no image") as caught:
        decoder.load(bad)
    assert caught.value.where == f"{tmp_path}/?.png"


def test_a_child_that_does_not_start_is_no_fault_of_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They are decoded in this process, and the log says so."""
    monkeypatch.setattr(process_module, "_CHILD", "raise SystemExit(1)")
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((9, 9), np.uint8))
    with ChildDecoder() as one:
        assert one.load(str(tmp_path / "good.png")).pixels.shape == (9, 9)
        assert one.load((tmp_path / "good.png").read_bytes()).pixels.shape == (9, 9)
    assert "own process" in caplog.text


def test_a_child_that_was_killed_while_it_waited_costs_no_image(tmp_path: Path) -> None:
    """Another one is started."""
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((9, 9), np.uint8))
    with ChildDecoder() as one:
        one.load(str(tmp_path / "good.png"))
        assert one.pid is not None
        os.kill(one.pid, signal.SIGKILL)
        assert one.load(str(tmp_path / "good.png")).pixels.shape == (9, 9)


def test_close_ends_the_child_and_leaves_the_frames(tmp_path: Path) -> None:
    """Pixels stay readable."""
    cv2.imwrite(str(tmp_path / "good.png"), np.full((9, 9), 7, np.uint8))
    with ChildDecoder() as one:
        frame, pid = one.load(str(tmp_path / "good.png")), one.pid
    assert pid is not None
    assert _gone(pid)
    assert (frame.pixels == 7).all()


@pytest.mark.skipif(sys.platform != "linux", reason="the system ends a child with its parent on Linux")
def test_the_child_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    """Also when it is killed."""
    code = (
        "import time\nfrom gagrad_runtime.frame.decoder import ChildDecoder\n"
        "if __name__ == '__main__':\n"
        "    one = ChildDecoder(); one._ready(); print(one.pid, flush=True); time.sleep(100)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert _alive(pid)
    parent.kill()
    parent.wait()
    assert _gone(pid)
