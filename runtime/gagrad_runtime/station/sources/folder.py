"""A folder of images, with the folders below it, as a source of frames.

A file is complete when the file system reports that it was closed (inotify), or else when its size and time
are the same in two scans in a row. Network shares do not report what another machine closes, so there all
names are scanned at each poll, and elsewhere every SWEEP seconds.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gagrad_edge.errors import FrameError, InputError
from gagrad_runtime.frame.decoding import endings
from gagrad_runtime.frame.frame import MAX_FILE_BYTES, Frame, frame_for, load_frame
from gagrad_runtime.station.sources.closed_files import ClosedFiles, is_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.frame.decoder import ChildDecoder
    from gagrad_runtime.station.events import SourceEvent
    from gagrad_runtime.station.sources.source import Arrival

SWEEP = 10.0
"""Seconds between scans of all names where the system reports closed files."""
EMPTY = 60.0
"""Seconds after which a file of 0 bytes is no longer taken for one that will be written to."""
State = tuple[int, int, int]
"""Size of a file, and the times at which its content and its permissions changed."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileArrival:
    """An image file of the folder."""

    path: Path
    name: str
    """Path below the folder, with ``/`` between its parts."""
    spec: InputSpec | None = None
    """What the model takes, which decides about the channels; None for grey and colours."""
    decoder: ChildDecoder | None = None
    """What decodes the file; None for this process."""

    def sha256(self) -> str:
        """Return the hash of the file. Raises FrameError."""
        return content_hash(self.path)

    def frame(self) -> Frame:
        """Return the image. Raises FrameError."""
        return _load(self.path, self.spec, self.decoder)


class Folder:
    """The images below the folder ``path``; each version of a file is returned once.

    Files and folders whose name begins with a dot, links to folders, and what is in the folder ``without``
    (that of the results) are left out.
    """

    lossless = False
    ended = False

    def __init__(
        self,
        path: Path,
        *,
        polling: bool = False,
        spec: InputSpec | None = None,
        without: Path | None = None,
        decoder: ChildDecoder | None = None,
    ) -> None:
        self.path = path
        self.spec = spec
        self._decoder = decoder
        self._without = without
        self._endings = endings(spec)
        self._seen: dict[Path, State] = {}
        """State of each file at the last scan."""
        self._returned: dict[Path, State] = {}
        """State of each file when it was returned."""
        self._swept = float("-inf")
        self._polling = polling
        self._closed: ClosedFiles | None = None
        self._tried = float("-inf")
        self._unwatched = ""
        """Why the folder is polled, as the log has it."""
        self._watch()

    def poll(self) -> list[Arrival]:
        """Return the files that are complete and new, oldest first. Raises FrameError."""
        now = time.monotonic()
        if self._closed is not None and not self._closed.lost:
            new = self._new(self._closed.take())
            if new or (now - self._swept < SWEEP and not self._closed.incomplete):
                return new
        elif self._closed is not None or now - self._tried >= SWEEP:
            self._watch()
        self._swept = now
        return self._sweep()

    def reload(self, name: str, sha256: str) -> Frame | None:
        """Return the image of that name if its content is the same, else None."""
        path = self.path / name
        try:
            return _load(path, self.spec, self._decoder) if content_hash(path) == sha256 else None
        except InputError as error:
            _log.debug("%s", error)
            return None

    def wait(self, seconds: float) -> bool:
        """Wait until a file is complete, at most ``seconds``; return whether one is."""
        if self._closed is not None:
            return self._closed.wait(seconds)
        time.sleep(seconds)
        return False

    def events(self) -> list[SourceEvent]:
        """Return nothing: ``poll`` raises when a share is away."""
        return []

    def close(self) -> None:
        """Stop watching."""
        if self._closed is not None:
            self._closed.close()

    def _watch(self) -> None:
        """Let the system report closed files, if it can. A folder that was replaced is watched anew."""
        self.close()
        self._closed, self._tried = None, time.monotonic()
        if self._polling or not is_local(self.path):
            return
        try:
            self._closed = ClosedFiles(self.path, self._folders)
        except OSError as error:  # e.g. too many watches on this system
            if error.strerror != self._unwatched:
                _log.warning("%s cannot be watched (%s) and is polled", self.path, error.strerror)
            self._unwatched = error.strerror or ""

    def _folders(self, folder: Path) -> Iterator[Path]:
        """Give ``folder`` and those below it. Those that cannot be read are left out."""
        left = [folder]  # and not a call for each level: folders may be a thousand deep
        while left:
            one = left.pop()
            yield one
            below = [Path(entry.path) for entry in _entries(one, quiet=True) if _is_folder(entry)]
            left += [path for path in reversed(below) if self._counts(path)]

    def _counts(self, folder: Path) -> bool:
        """Return whether a folder below the source's belongs to it."""
        # rsync and others write to a hidden name first and rename it when it is complete.
        if folder.name.startswith("."):
            return False
        try:
            return self._without is None or not folder.samefile(self._without)
        except OSError:  # the folder of results is not there at the moment
            return folder.resolve() != (self._without or folder).resolve()

    def _new(self, paths: list[Path]) -> list[Arrival]:
        """Return the files of ``paths`` that are images and new."""
        new: list[Arrival] = []
        for path in paths:
            if (state := self._state(path)) is not None and self._returned.get(path) != state:
                self._returned[path] = self._seen[path] = state
                new.append(self._arrival(path))
        return new

    def _sweep(self) -> list[Arrival]:
        being_written: set[Path] = set()
        if self._closed is not None:
            self._closed.incomplete = False  # what is reported from here on is looked at again
            being_written = self._closed.open()
        now: dict[Path, State] = {}
        for folder in self._folders(self.path):
            for entry in _entries(folder, quiet=folder != self.path):
                path = Path(entry.path)
                if (state := self._state(path)) is not None:
                    now[path] = state
        stable = [path for path in now if self._seen.get(path) == now[path] and path not in being_written]
        new = [path for path in stable if self._returned.get(path) != now[path]]
        self._seen = now
        self._returned = {path: state for path, state in self._returned.items() if path in now}
        self._returned.update((path, now[path]) for path in new)
        if any(self._returned.get(path) != state for path, state in now.items()):
            self._swept = float("-inf")  # a file is not complete yet: scan again at the next poll
        new.sort(key=lambda path: (now[path][1], path))
        return [self._arrival(path) for path in new]

    def _arrival(self, path: Path) -> Arrival:
        name = path.relative_to(self.path).as_posix()
        return FileArrival(path, name.encode("utf-8", "replace").decode(), self.spec, self._decoder)

    def _state(self, path: Path) -> State | None:
        """Return the state of the image ``path``; None for any other file, and at first for an empty one.

        A writer may create a file long before it writes to it. One that stays empty is given out after EMPTY
        seconds, so that somebody hears of it.
        """
        if path.suffix.lower() not in self._endings or path.name.startswith("."):
            return None
        try:
            state = path.stat()
        except OSError:
            return None  # deleted meanwhile
        if not state.st_size:
            # Pipes and devices have no size either, and opening one may wait for ever.
            young = time.time() - state.st_mtime < EMPTY
            if young or not stat.S_ISREG(state.st_mode):
                return None
        return (state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _entries(folder: Path, *, quiet: bool) -> list[os.DirEntry[str]]:
    """Return what is in ``folder``. Raises FrameError when it cannot be read, unless ``quiet``."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError as error:
        if quiet:  # e.g. deleted meanwhile
            return []
        raise FrameError(
            f"the folder cannot be read ({error.strerror})",
            where=str(folder),
            hint="check its name, that the share is mounted, and that this user may read it",
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # deleted meanwhile, on a file system that does not say what an entry is
        return False


def _load(path: Path, spec: InputSpec | None, decoder: ChildDecoder | None) -> Frame:
    source: Path | Frame = path
    if decoder is not None:
        channels = spec is not None and spec.colour == "channels"
        source = decoder.load(os.fspath(path), "channels" if channels else "rgb")
    return load_frame(source) if spec is None else frame_for(spec, source)


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
