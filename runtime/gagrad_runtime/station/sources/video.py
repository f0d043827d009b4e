"""A video file as a source of frames: every frame, at the speed of the station."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import FrameError
from gagrad_runtime.station.sources.video_frame import PictureArrival, library, picture_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.station.events import SourceEvent
    from gagrad_runtime.station.sources.source import Arrival

_log = logging.getLogger(__name__)


class Video:
    """The frames of a file, from number ``first`` on. Raises FrameError when the file is no video."""

    lossless = True

    def __init__(self, path: Path, first: int = 0) -> None:
        self.path = path
        self.ended = False
        self.damaged = 0
        """Packets that could not be decoded."""
        self._first = first
        av = library()
        try:
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
        except (OSError, ValueError, IndexError) as error:
            raise FrameError(
                f"this is no video that can be read ({getattr(error, 'strerror', None) or error})",
                where=str(path),
                hint="give a folder of images, a video file, or the address of a camera",
            ) from error
        self._stream.thread_type = "AUTO"
        self._decoded = self._decode(av.error.FFmpegError)

    def poll(self) -> list[Arrival]:
        """Return the next frame. Raises FrameError when its pixel format is not supported."""
        for number, decoded in self._decoded:
            if number >= self._first:
                name = f"{self.path.name}#{number:06d}"
                return [PictureArrival(name, picture_of(decoded, name))]
        self.ended = True
        return []

    def reload(self, name: str, sha256: str) -> Frame | None:  # noqa: ARG002 - a source's signature
        """Return None: the station keeps the frames that wait."""
        return None

    def wait(self, seconds: float) -> bool:  # noqa: ARG002 - a source's signature
        """Return at once: the next frame is there."""
        return True

    def events(self) -> list[SourceEvent]:
        """Return nothing: a file has no states."""
        return []

    def close(self) -> None:
        """Close the file."""
        if self.damaged:
            _log.warning("%s: %d damaged packets were skipped", self.path, self.damaged)
        self._container.close()

    def _decode(self, failure: type[Exception]) -> Iterator[tuple[int, Any]]:
        number = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except failure as error:  # the file ends in the middle
                _log.warning("%s is cut off: %s", self.path, getattr(error, "strerror", error))
                packet = None
            if packet is None:
                return
            try:
                frames = packet.decode()
            except failure:
                self.damaged += 1
                continue
            for decoded in frames:
                yield number, decoded
                number += 1
