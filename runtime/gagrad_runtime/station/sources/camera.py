"""A camera as a source of frames: a thread reads the stream without pause and keeps the newest frame.

A stream that is read more slowly than it comes fills buffers, and its frames grow old. So a frame that was
not polled is overwritten by the next one, and counted. See docs/adr/0020.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from gagrad_runtime.station.events import SourceEvent, now
from gagrad_runtime.station.sources.address import host_of, shown
from gagrad_runtime.station.sources.video_frame import PictureArrival, library, picture_of

if TYPE_CHECKING:
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.station.sources.source import Arrival

OPEN_SECONDS = 5.0
"""Time-out of opening the stream."""
QUIET_SECONDS = 2.2
"""Without a frame for this long the camera is frozen; found within 3 s."""
READ_SECONDS = 2.5
"""Without a packet for this long the stream is closed and opened again."""
SAME_SECONDS = 2.5
"""With the same picture, bit for bit, for this long the camera is frozen: no sensor gives that."""
PAUSES = (0.0, 0.5, 1.0, 2.0, 3.0)
"""Seconds before each attempt to connect again; the last value from then on."""
State = Literal["connecting", "connected", "frozen", "lost"]
_QUIET = "nothing comes"
_log = logging.getLogger(__name__)


class Camera:
    """The stream at ``address``; ``first`` is the number of its first frame's name."""

    lossless = False
    ended = False

    def __init__(self, address: str, first: int = 1) -> None:
        self.address = shown(address)
        self.frames = self.overwritten = self.reconnects = self.frozen = 0
        self.state: State = "connecting"
        self._address = address
        self._host = host_of(address)
        self._number = first
        self._newest: Any = None
        self._events: deque[SourceEvent] = deque(maxlen=100)
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._closing = threading.Event()
        self._av = library()
        self._last_frame = time.monotonic()
        self._fresh_frames = 0
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        threading.Thread(target=self._watch_for_silence, name="camera watch", daemon=True).start()

    def poll(self) -> list[Arrival]:
        """Return the newest frame since the last call. Raises FrameError for an unsupported pixel format."""
        with self._lock:
            decoded, self._newest = self._newest, None
        if decoded is None:
            return []
        name = f"{self._host}-{self._number:06d}"
        self._number += 1
        return [PictureArrival(name, picture_of(decoded, name))]

    def reload(self, name: str, sha256: str) -> Frame | None:  # noqa: ARG002 - a source's signature
        """Return None: the station keeps the frames that wait."""
        return None

    def wait(self, seconds: float) -> bool:
        """Wait for the next frame, at most ``seconds``; return whether one came."""
        came = self._arrived.wait(seconds)
        self._arrived.clear()
        return came

    def events(self) -> list[SourceEvent]:
        """Return the changes of state since the last call."""
        with self._lock:
            events = list(self._events)
            self._events.clear()
        return events

    def close(self) -> None:
        """Stop reading; a read that hangs ends by its time-out, in the background."""
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
        """Read until the stream ends. Raises FFmpeg's errors."""
        options = {
            "rtsp_transport": "tcp",
            "fflags": "nobuffer",
            "flags": "low_delay",
            "analyzeduration": "1000000",  # µs; a picture that hardly changes would be analysed for longer
        }
        seconds = (OPEN_SECONDS, READ_SECONDS)
        container = self._av.open(self._address, options=options, timeout=seconds)
        try:
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # threads by frame would delay frames
            same = _SameFor()
            for packet in container.demux(stream):
                if self._closing.is_set():
                    return
                try:
                    frames = packet.decode()
                except self._av.error.InvalidDataError:
                    continue  # the stream began in the middle of a picture, or a packet was lost
                for decoded in frames:
                    self._take(decoded, same.seconds(decoded))
        except self._av.error.FFmpegError as error:
            self._lose(self._reason(error))  # before ``close``, which waits for a server that may not answer
            raise
        finally:
            container.close()

    def _reason(self, error: Exception) -> str:
        """Return the reason in words; not ``str(error)``, which contains the address with its password."""
        if isinstance(error, (TimeoutError, self._av.error.ExitError)):
            return _QUIET
        return getattr(error, "strerror", None) or type(error).__name__

    def _lose(self, reason: str) -> None:
        if not self._closing.is_set():
            frozen = reason == _QUIET and self.state == "connected"
            self._change("frozen" if frozen else "lost", reason)

    def _watch_for_silence(self) -> None:
        """Change the state to frozen when no frame comes.

        FFmpeg's time-out is too late for that: after the first one it gives a frame that it had held back,
        and waits again.
        """
        while not self._closing.wait(0.2):
            if self.state == "connected" and time.monotonic() - self._last_frame >= QUIET_SECONDS:
                self._change("frozen", _QUIET)

    def _take(self, decoded: Any, unchanged: float) -> None:
        self.frames, self._last_frame = self.frames + 1, time.monotonic()
        if unchanged >= SAME_SECONDS:
            self._change("frozen", "the same picture comes again and again")
            return
        if self.state == "frozen":
            # One new frame may be the one that FFmpeg held back; two different ones mean that the camera
            # works.
            self._fresh_frames += unchanged == 0
            if self._fresh_frames < 2:
                return
        self._change("connected", "frames come")
        with self._lock:
            self.overwritten += self._newest is not None
            self._newest = decoded
        self._arrived.set()

    def _change(self, state: Literal["connected", "frozen", "lost"], reason: str) -> None:
        with self._lock:
            if state == self.state or (state == "lost" and self.state == "frozen"):
                return  # a frozen camera that cannot be reached either has one event
            self.frozen += state == "frozen"
            self.state, self._fresh_frames = state, 0
            self._events.append(SourceEvent(time=now(), state=state, source=self.address, reason=reason))
        log = _log.info if state == "connected" else _log.warning
        log("%s: %s (%s)", self.address, state, reason)


class _SameFor:
    """How long the picture has been the same, seconds."""

    def __init__(self) -> None:
        self._check: int | None = None
        self._since = 0.0

    def seconds(self, decoded: Any) -> float:
        """Return the seconds for which the picture of ``decoded`` has not changed."""
        check = zlib.crc32(memoryview(decoded.planes[0]))
        now = time.monotonic()
        if check != self._check:
            self._check, self._since = check, now
            return 0.0
        return now - self._since
