"""A folder as the source of frames.

A file counts when it is closed, if the file system tells that (inotify), and else when its size and time
are the same in two looks in a row. Network shares never tell of what another machine closes, so there, and
now and then everywhere, all names are looked at.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import FrameError, InputError
from gagrad_runtime.frame.frame import Frame, load_frame
from gagrad_runtime.frame.reading import MAX_FILE_BYTES
from gagrad_runtime.station.sources.closed_files import ClosedFiles, is_local

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.station.sources.source import Arrival

ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
SWEEP = 10.0
"""Seconds between looks at all names where the system tells of closed files: its queue can overflow."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileArrival:
    """An image file."""

    path: Path

    @property
    def name(self) -> str:
        """Return the file's name."""
        return printable(self.path)

    def sha256(self) -> str:
        """Return the hash of the file. Raises FrameError."""
        return content_hash(self.path)

    def frame(self) -> Frame:
        """Return the image. Raises FrameError."""
        return load_frame(self.path)


class Folder:
    """Looks at a folder; each version of a file comes out once."""

    patient = False
    ended = False

    def __init__(self, path: Path, *, polling: bool = False) -> None:
        self.path = path
        self._seen: dict[str, tuple[int, int]] = {}
        """Size and time of each file at the last look."""
        self._out: dict[str, tuple[int, int]] = {}
        """Of those that came out."""
        self._swept = float("-inf")
        self._wake = threading.Event()
        self._closed: ClosedFiles | None = None
        if not polling and is_local(path):
            try:
                self._closed = ClosedFiles(path, self._wake)
            except ImportError:
                _log.info("without the package watchdog the folder is looked at again and again")
            except OSError as error:  # too many watches on this system
                _log.warning("%s cannot be watched (%s): it is looked at again and again", path, error)

    def look(self) -> list[Arrival]:
        """Return the files that are complete and new, oldest first. Raises FrameError."""
        now = time.monotonic()
        if self._closed is not None:
            fresh = self._fresh(self._closed.take())
            if fresh or now - self._swept < SWEEP:
                return fresh
        self._swept = now
        return self._sweep()

    def again(self, name: str, sha256: str) -> Frame | None:
        """Return the image of that name if its content is the same."""
        path = self.path / name
        try:
            return load_frame(path) if content_hash(path) == sha256 else None
        except InputError as error:
            _log.debug("%s", error)
            return None

    def wait(self, seconds: float) -> None:
        """Wait until a file is closed, or so long."""
        self._wake.wait(seconds)
        self._wake.clear()

    def news(self) -> list[dict[str, Any]]:
        """Return nothing: a share that is away is said by ``look``."""
        return []

    def close(self) -> None:
        """Watch no longer."""
        if self._closed is not None:
            self._closed.close()

    def _fresh(self, names: list[str]) -> list[Arrival]:
        """Return those of the closed files that are images and new."""
        fresh: list[Arrival] = []
        for name in names:
            if (state := self._state(self.path / name)) is not None and self._out.get(name) != state:
                self._out[name] = self._seen[name] = state
                fresh.append(FileArrival(self.path / name))
        return fresh

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
        fresh = [name for name in stable if self._out.get(name) != now[name]]
        self._seen = now
        self._out = {name: state for name, state in self._out.items() if name in now}
        self._out.update((name, now[name]) for name in fresh)
        if len(now) > len(self._out):
            self._swept = float("-inf")  # something is to be looked at once more, soon
        fresh.sort(key=lambda name: (now[name][1], name))
        return [FileArrival(self.path / name) for name in fresh]

    def _state(self, path: Path) -> tuple[int, int] | None:
        """Return size and time of an image file; None for anything else, and for an empty one."""
        # A hidden file is one that somebody is still writing, by the custom of rsync and others.
        if path.suffix.lower() not in ENDINGS or path.name.startswith("."):
            return None
        try:
            state = path.stat()
        except OSError:
            return None  # gone since
        return (state.st_size, state.st_mtime_ns) if state.st_size else None


def printable(path: Path) -> str:
    """Return a file's name as text that can be stored: Linux file names may hold any bytes."""
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
