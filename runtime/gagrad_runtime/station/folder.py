"""A folder as the source of frames: files whose size and time stayed the same over two looks.

Looking again and again works on every file system, network shares included, where the system tells nothing
of a file that another machine has closed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame import MAX_FILE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}


class Folder:
    """Looks at a folder; each version of a file comes out once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: dict[str, tuple[int, int]] = {}
        """Size and time of each file at the last look."""
        self._out: dict[str, tuple[int, int]] = {}
        """Of those that came out."""

    def look(self) -> list[Path]:
        """Return the files that are complete and new, oldest first. Raises FrameError."""
        try:
            entries = sorted(self.path.iterdir())
        except OSError as error:
            raise FrameError(
                f"the folder cannot be read ({error.strerror})",
                where=str(self.path),
                hint="check its name, that the share is mounted, and that this user may read it",
            ) from error
        now: dict[str, tuple[int, int]] = {}
        for entry in entries:
            # A hidden file is one that somebody is still writing, by the custom of rsync and others.
            if entry.suffix.lower() not in ENDINGS or entry.name.startswith("."):
                continue
            try:
                state = entry.stat()
            except OSError:
                continue  # gone since
            now[entry.name] = (state.st_size, state.st_mtime_ns)
        stable = [name for name, state in now.items() if self._seen.get(name) == state and state[0]]
        fresh = [name for name in stable if self._out.get(name) != now[name]]
        self._seen = now
        self._out = {name: state for name, state in self._out.items() if name in now}
        self._out.update((name, now[name]) for name in fresh)
        return [self.path / name for name in sorted(fresh, key=lambda name: (now[name][1], name))]


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
