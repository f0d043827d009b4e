"""Files below a folder that the system reports as closed, moved in or linked in (inotify of Linux)."""

from __future__ import annotations

import ctypes
import os
import select
import stat
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOUNTS = Path("/proc/self/mountinfo")
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "virtiofs", "ceph", "gluster", "afs", "lustre", "vboxsf")
"""Beginnings of the names of file system types that other machines may write to."""

STALE = 60.0
"""Seconds without a change after which a file counts as closed: truncate(2) changes one that is not open."""

# inotify(7)
_MODIFY, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _UNMOUNT, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x2000, 0x4000, 0x8000
_ONLY_FOLDER, _IS_FOLDER = 0x1000000, 0x40000000
_WANTED = (
    _MODIFY | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
) | _ONLY_FOLDER
_EVENT = struct.Struct("iIII")


class ClosedFiles:
    """The files below ``folder``. Raises OSError where the system cannot report them.

    ``folders`` gives a folder and those below it that are watched. Used by one thread.
    """

    def __init__(self, folder: Path, folders: Callable[[Path], Iterator[Path]]) -> None:
        self.incomplete = True
        """Whether files may have come that were not reported, after an overflow or in a new folder: all names
        have to be looked at. Set to False by whoever does so."""
        self.lost = False
        """Whether the folder was moved or deleted, or one below it cannot be watched: a new ClosedFiles is
        needed."""
        self._folder, self._folders = folder, folders
        self._closed: dict[Path, None] = {}
        self._open: dict[Path, float] = {}
        """Files that are being written, and when the last piece of each was."""
        self._watched: dict[int, Path] = {}
        try:
            self._library = ctypes.CDLL(None, use_errno=True)
            self._descriptor = self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (AttributeError, OSError, TypeError) as error:
            raise OSError(0, "this system does not report closed files") from error
        if self._descriptor < 0:
            raise _last_error()
        try:
            self._watch(folder)
        except OSError:
            self.close()
            raise

    def take(self) -> list[Path]:
        """Return the files that are complete since the last call, each once, in order."""
        self._read()
        closed, self._closed = list(self._closed), {}
        return closed

    def open(self) -> set[Path]:
        """Return the files that are being written: changed not long ago, and not closed since."""
        self._read()
        now = time.monotonic()
        return {path for path, written in self._open.items() if now - written < STALE}

    def wait(self, seconds: float) -> bool:
        """Wait until a file is complete, at most ``seconds``; return whether one is."""
        until = time.monotonic() + seconds
        while True:
            self._read()
            if self._closed or self.incomplete or self.lost:
                return True
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._descriptor], [], [], left)[0]:
                return False

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _watch(self, folder: Path) -> None:
        """Watch ``folder`` and those below it. Raises OSError."""
        for one in self._folders(folder):
            number = self._library.inotify_add_watch(self._descriptor, os.fsencode(one), _WANTED)
            if number >= 0:
                self._watched[number] = one
                continue
            error = _last_error()
            if one == self._folder or not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise error  # e.g. ENOSPC, too many watches; one that was deleted meanwhile is none

    def _read(self) -> None:
        """Take what the system has reported."""
        while self._descriptor >= 0:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                number, mask, _, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size + length
                name = data[at - length : at].rstrip(b"\0")
                self._reported(number, mask, os.fsdecode(name))

    def _reported(self, number: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:
            # The end of any writing may be among what was lost.
            self._open.clear()
            self.incomplete = True
            return
        folder = self._watched.get(number)
        if folder is None:
            return
        if mask & (_DELETE_SELF | _MOVE_SELF | _UNMOUNT):
            self.lost |= folder == self._folder
        elif mask & _IGNORED:
            del self._watched[number]
        elif mask & _IS_FOLDER:
            if mask & (_CREATE | _MOVED_TO):
                self._new_folder(folder / name)
        elif mask & (_CLOSE_WRITE | _MOVED_TO):
            self._complete(folder / name)
        elif mask & (_DELETE | _MOVED_FROM):
            self._open.pop(folder / name, None)
            self._closed.pop(folder / name, None)
        elif mask & _CREATE and _is_link(folder / name):
            self._complete(folder / name)
        else:
            self._closed.pop(folder / name, None)
            self._open[folder / name] = time.monotonic()

    def _complete(self, path: Path) -> None:
        self._open.pop(path, None)
        self._closed[path] = None

    def _new_folder(self, folder: Path) -> None:
        """Watch a folder that came; files may have come in it before it was watched."""
        self.incomplete = True
        try:
            self._watch(folder)
        except OSError:
            self.lost = True


def _is_link(path: Path) -> bool:
    """Return whether a file that was just created is another name of one, which nobody has to close."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return found.st_nlink > 1 or stat.S_ISLNK(found.st_mode)


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def is_local(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Return whether only this machine writes to the file system of ``folder``; False if not known."""
    try:
        target = folder.resolve()
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    kinds: dict[Path, str] = {}
    for line in lines:
        fields, _, rest = line.partition(" - ")
        # proc(5): the mount point is the fifth field, spaces in octal; the type comes behind the dash.
        point = fields.split(" ")[4].replace("\\040", " ")
        kinds[Path(point)] = rest.split(" ")[0]
    for place in (target, *target.parents):
        if place in kinds:
            return not kinds[place].startswith(_REMOTE)
    return False
