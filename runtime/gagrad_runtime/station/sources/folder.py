"""A folder of images as a source of frames.

A file is complete when the file system reports that it was closed (inotify), or else when its size and time
are the same in two scans in a row. Network shares do not report what another machine closes, so there all
names are scanned at each poll, and elsewhere every SWEEP seconds.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_edge.errors import FrameError, InputError
from gagrad_runtime.frame.decoding import endings
from gagrad_runtime.frame.frame import MAX_FILE_BYTES, Frame, frame_for, load_frame
from gagrad_runtime.station.sources.closed_files import ClosedFiles, is_local

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_edge.manifest import InputSpec
    from gagrad_runtime.station.events import SourceEvent
    from gagrad_runtime.station.sources.source import Arrival

SWEEP = 10.0
"""Seconds between scans of all names where the system reports closed files, because its queue can
overflow."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileArrival:
    """An image file of the folder."""

    path: Path
    spec: InputSpec | None = None
    """What the model takes, which decides about the channels; None for grey and colours."""

    @property
    def name(self) -> str:
        """Return the file's name."""
        return printable(self.path)

    def sha256(self) -> str:
        """Return the hash of the file. Raises FrameError."""
        return content_hash(self.path)

    def frame(self) -> Frame:
        """Return the image. Raises FrameError."""
        return _load(self.path, self.spec)


class Folder:
    """The images of the folder ``path``; each version of a file is returned once."""

    lossless = False
    ended = False

    def __init__(self, path: Path, *, polling: bool = False, spec: InputSpec | None = None) -> None:
        self.path = path
        self.spec = spec
        self._endings = endings(spec)
        self._seen: dict[str, tuple[int, int]] = {}
        """Size and time of each file at the last scan."""
        self._returned: dict[str, tuple[int, int]] = {}
        """Size and time of each file when it was returned."""
        self._swept = float("-inf")
        self._wake = threading.Event()
        self._closed: ClosedFiles | None = None
        if not polling and is_local(path):
            try:
                self._closed = ClosedFiles(path, self._wake)
            except ImportError:
                _log.info("without the package watchdog the folder is polled")
            except OSError as error:  # too many watches on this system
                _log.warning("%s cannot be watched (%s) and is polled", path, error)

    def poll(self) -> list[Arrival]:
        """Return the files that are complete and new, oldest first. Raises FrameError."""
        now = time.monotonic()
        if self._closed is not None:
            new = self._new(self._closed.take())
            if new or now - self._swept < SWEEP:
                return new
        self._swept = now
        return self._sweep()

    def reload(self, name: str, sha256: str) -> Frame | None:
        """Return the image of that name if its content is the same, else None."""
        path = self.path / name
        try:
            return _load(path, self.spec) if content_hash(path) == sha256 else None
        except InputError as error:
            _log.debug("%s", error)
            return None

    def wait(self, seconds: float) -> None:
        """Wait until a file is closed, at most ``seconds``."""
        self._wake.wait(seconds)
        self._wake.clear()

    def events(self) -> list[SourceEvent]:
        """Return nothing: ``poll`` raises when a share is away."""
        return []

    def close(self) -> None:
        """Stop watching."""
        if self._closed is not None:
            self._closed.close()

    def _new(self, names: list[str]) -> list[Arrival]:
        """Return the files of ``names`` that are images and new."""
        new: list[Arrival] = []
        for name in names:
            if (state := self._state(self.path / name)) is not None and self._returned.get(name) != state:
                self._returned[name] = self._seen[name] = state
                new.append(FileArrival(self.path / name, self.spec))
        return new

    def _sweep(self) -> list[Arrival]:
        try:
            entries = list(self.path.iterdir())
        except OSError as error:
            raise FrameError(
                f"the folder cannot be read ({error.strerror})",
                where=str(self.path),
                hint="check its name, that the share is mounted, and that this user may read it",
            ) from error
        now = {entry.name: state for entry in entries if (state := self._state(entry)) is not None}
        being_written = self._closed.open() if self._closed is not None else set()
        stable = [name for name in now if self._seen.get(name) == now[name] and name not in being_written]
        new = [name for name in stable if self._returned.get(name) != now[name]]
        self._seen = now
        self._returned = {name: state for name, state in self._returned.items() if name in now}
        self._returned.update((name, now[name]) for name in new)
        if len(now) > len(self._returned):
            self._swept = float("-inf")  # a file is not complete yet: scan again at the next poll
        new.sort(key=lambda name: (now[name][1], name))
        return [FileArrival(self.path / name, self.spec) for name in new]

    def _state(self, path: Path) -> tuple[int, int] | None:
        """Return size and time of the image file ``path``; None for any other file and for an empty one."""
        # rsync and others write to a hidden file first and rename it when it is complete.
        if path.suffix.lower() not in self._endings or path.name.startswith("."):
            return None
        try:
            state = path.stat()
        except OSError:
            return None  # deleted meanwhile
        return (state.st_size, state.st_mtime_ns) if state.st_size else None


def _load(path: Path, spec: InputSpec | None) -> Frame:
    return load_frame(path) if spec is None else frame_for(spec, path)


def printable(path: Path) -> str:
    """Return the name of the file as valid Unicode: file names of Linux may hold any bytes."""
    return path.name.encode("utf-8", "replace").decode()


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file. Raises FrameError."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise FrameError("the file is too large for an image", where=str(path))
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise FrameError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
    return digest.hexdigest()
