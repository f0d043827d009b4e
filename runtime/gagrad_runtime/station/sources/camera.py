"""A camera as the source of frames: a thread drains the stream all the time, and the newest frame counts.

A stream that is read more slowly than it comes grows old in buffers; so what was not taken is overwritten,
and counted. See docs/adr/0020.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

from gagrad_runtime.station.sources.address import host_of, shown
from gagrad_runtime.station.sources.video_frame import PictureArrival, library, picture_of

if TYPE_CHECKING:
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.station.sources.source import Arrival

OPEN_SECONDS = 5.0
QUIET_SECONDS = 2.2
"""Without a frame for so long the camera is frozen, so that it is found out within 3 s."""
READ_SECONDS = 2.5
"""Without a packet for so long the stream is given up, and opened again."""
SAME_SECONDS = 2.5
"""So long the same picture bit for bit: no sensor does that, the camera hangs."""
PAUSES = (0.0, 0.5, 1.0, 2.0, 3.0)
"""Seconds before each next try; the last one from then on."""
_QUIET = "nothing comes"
_log = logging.getLogger(__name__)


class Camera:
    """The stream at ``address``; ``first`` is the number of its first frame's name."""

    patient = False
    ended = False

    def __init__(self, address: str, first: int = 1) -> None:
        self.address = shown(address)
        self.frames = self.overwritten = self.reconnects = self.frozen = 0
        self.state = "connecting"
        """``connecting``, ``connected``, ``frozen`` or ``lost``."""
        self._address = address
        self._host = host_of(address)
        self._number = first
        self._newest: Any = None
        self._news: deque[dict[str, Any]] = deque(maxlen=100)
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._closing = threading.Event()
        self._av = library()
        self._came = time.monotonic()
        self._thawed = 0
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        threading.Thread(target=self._attend, name="camera watch", daemon=True).start()

    def look(self) -> list[Arrival]:
        """Return the newest frame, if one came since. Raises FrameError when its kind is not taken."""
        with self._lock:
            decoded, self._newest = self._newest, None
        if decoded is None:
            return []
        name = f"{self._host}-{self._number:06d}"
        self._number += 1
        return [PictureArrival(name, picture_of(decoded, name))]

    def again(self, name: str, sha256: str) -> Frame | None:  # noqa: ARG002 - a source's signature
        """Return nothing: the moment is over, and the station kept what it needs."""
        return None

    def wait(self, seconds: float) -> None:
        """Wait for the next frame."""
        self._arrived.wait(seconds)
        self._arrived.clear()

    def news(self) -> list[dict[str, Any]]:
        """Return the changes of state since the last call."""
        with self._lock:
            news = list(self._news)
            self._news.clear()
        return news

    def close(self) -> None:
        """Stop reading; a read that hangs ends by its own time-out, in the background."""
        self._closing.set()
        self._thread.join(timeout=1)

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            before = self.frames
            try:
                self._read()
                self._lose("the stream ended")
            except self._av.error.FFmpegError as error:
                self._lose(self._reason(error))
            except (OSError, ValueError, IndexError) as error:
                self._lose(type(error).__name__)
            failures = 0 if self.frames > before else failures + 1
            if self._closing.wait(PAUSES[min(failures, len(PAUSES) - 1)]):
                return
            self.reconnects += 1

    def _read(self) -> None:
        """Read until the stream ends. Raises what FFmpeg does."""
        options = {
            "rtsp_transport": "tcp",
            "fflags": "nobuffer",
            "flags": "low_delay",
            "analyzeduration": "1000000",  # µs; a picture that hardly changes would be looked at for longer
        }
        seconds = (OPEN_SECONDS, READ_SECONDS)
        container = self._av.open(self._address, options=options, timeout=seconds)
        try:
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # threads by frame would hold frames back
            same = _SameFor()
            for packet in container.demux(stream):
                if self._closing.is_set():
                    return
                try:
                    frames = packet.decode()
                except self._av.error.InvalidDataError:
                    continue  # joined in the middle, or a packet was lost
                for decoded in frames:
                    self._take(decoded, same.seconds(decoded))
        except self._av.error.FFmpegError as error:
            self._lose(self._reason(error))  # before the end is told to a server that may not answer
            raise
        finally:
            container.close()

    def _reason(self, error: Exception) -> str:
        """Return what happened; not ``str(error)``, which has the address with the password."""
        if isinstance(error, (TimeoutError, self._av.error.ExitError)):
            return _QUIET
        return getattr(error, "strerror", None) or type(error).__name__

    def _lose(self, reason: str) -> None:
        if not self._closing.is_set():
            frozen = reason == _QUIET and self.state == "connected"
            self._change("frozen" if frozen else "lost", reason)

    def _attend(self) -> None:
        """Find out that nothing comes.

        FFmpeg's time-out is too late: at the first it gives a frame that it held back, and waits once more.
        """
        while not self._closing.wait(0.2):
            if self.state == "connected" and time.monotonic() - self._came >= QUIET_SECONDS:
                self._change("frozen", _QUIET)

    def _take(self, decoded: Any, unchanged: float) -> None:
        self.frames, self._came = self.frames + 1, time.monotonic()
        if unchanged >= SAME_SECONDS:
            self._change("frozen", "the same picture comes again and again")
            return
        if self.state == "frozen":
            # One frame may be the one held back, and the same one is none: two others are a camera again.
            self._thawed += unchanged == 0
            if self._thawed < 2:
                return
        self._change("connected", "frames come")
        with self._lock:
            self.overwritten += self._newest is not None
            self._newest = decoded
        self._arrived.set()

    def _change(self, state: str, reason: str) -> None:
        with self._lock:
            if state == self.state or (state == "lost" and self.state == "frozen"):
                return  # a frozen camera that cannot be reached either is told once
            self.frozen += state == "frozen"
            self.state, self._thawed = state, 0
            self._news.append({"state": state, "source": self.address, "reason": reason})
        log = _log.info if state == "connected" else _log.warning
        log("%s: %s (%s)", self.address, state, reason)


class _SameFor:
    """How long the picture has been the same."""

    def __init__(self) -> None:
        self._check: int | None = None
        self._since = 0.0

    def seconds(self, decoded: Any) -> float:
        """Return for how long the picture has been what ``decoded`` is; 0 for another one."""
        check = zlib.crc32(memoryview(decoded.planes[0]))
        now = time.monotonic()
        if check != self._check:
            self._check, self._since = check, now
            return 0.0
        return now - self._since
