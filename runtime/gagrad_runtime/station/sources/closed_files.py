"""Files of a folder that the system reports as closed or moved in (inotify, through watchdog)."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

_MOUNTS = Path("/proc/self/mountinfo")
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "virtiofs", "ceph", "gluster", "afs", "lustre", "vboxsf")
"""Beginnings of the names of file system types that other machines may write to."""


class ClosedFiles:
    """Names of files that were closed or moved in after writing. Raises ImportError and OSError."""

    def __init__(self, folder: Path, wake: threading.Event) -> None:
        from watchdog.events import FileSystemEventHandler  # noqa: PLC0415 - of the extra `station`
        from watchdog.observers import Observer  # noqa: PLC0415

        self._names: list[str] = []
        self._open: set[str] = set()
        self._lock = threading.Lock()
        self._wake = wake
        ours = self

        class Handler(FileSystemEventHandler):
            def on_closed(self, event: Any) -> None:
                ours.closed(event.src_path)

            def on_moved(self, event: Any) -> None:
                ours.closed(event.dest_path)

            def on_modified(self, event: Any) -> None:
                if not event.is_directory:
                    ours.opened(event.src_path)

        self._observer = Observer()
        self._observer.schedule(Handler(), str(folder), recursive=False)
        self._observer.daemon = True
        self._observer.start()

    def take(self) -> list[str]:
        """Return the names that were reported since the last call, each once, in order."""
        with self._lock:
            names, self._names = self._names, []
        return list(dict.fromkeys(names))

    def open(self) -> set[str]:
        """Return the names of files that are being written."""
        with self._lock:
            return set(self._open)

    def closed(self, path: str | bytes) -> None:
        """Record that a file is complete."""
        name = Path(os.fsdecode(path)).name
        with self._lock:
            self._open.discard(name)
            self._names.append(name)
        self._wake.set()

    def opened(self, path: str | bytes) -> None:
        """Record that a file is being written."""
        with self._lock:
            self._open.add(Path(os.fsdecode(path)).name)

    def close(self) -> None:
        """Stop watching."""
        self._observer.stop()
        self._observer.join(timeout=2)


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
