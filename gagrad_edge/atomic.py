"""Atomic writes: after Ctrl-C or a power cut a file is the earlier one or the complete new one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from typing import TYPE_CHECKING

from gagrad_edge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_atomic(
    path: Path, chunks: Iterable[bytes | memoryview], *, mode: int = 0o666, durable: bool = True
) -> None:
    """Write ``chunks`` to ``path``: temporary file beside it, fsync, rename, fsync of the folder.

    The file gets the permissions ``mode`` less the user's umask. The temporary file is removed on any
    failure, ``KeyboardInterrupt`` included. Without ``durable`` nothing waits for the disk: for a file whose
    reader finds out what a power cut has left of it, and makes it again. Raises OutputError.
    """
    temporary: Path | None = None
    try:
        descriptor, temporary = _new_file(path, mode)
        with os.fdopen(descriptor, "wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(path)
        temporary = None
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _new_file(path: Path, mode: int) -> tuple[int, Path]:
    """Return descriptor and path of a new file beside ``path``. Raises OSError.

    The system applies the umask. ``mkstemp`` makes private files, and Python can only read the umask by
    setting it, for all threads: another thread's file would get the wrong permissions meanwhile.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):  # as far as the system has them
        flags |= getattr(os, name, 0)
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        with contextlib.suppress(FileExistsError):
            return os.open(temporary, flags, mode), temporary


def make_folder(path: Path) -> None:
    """Make the folder ``path`` and its parents, if missing. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error


def check_writable(folder: Path) -> None:
    """Raise OutputError unless a file can be written in ``folder``; to be called before long work."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".", suffix=".part", dir=folder) as probe:
            probe.write(b"\0")
            probe.flush()
    except OSError as error:
        raise output_error(folder, error) from error


def output_error(path: Path, error: OSError) -> OutputError:
    """Return ``error`` as OutputError, with a hint for the usual cases."""
    hints = {
        errno.ENOSPC: "the disk is full: free some space, or give another folder",
        errno.EDQUOT: "the disk quota is used up: free some space, or give another folder",
        errno.EACCES: "this user may not write there: give another folder",
        errno.EPERM: "this user may not write there: give another folder",
        errno.EROFS: "that file system is read-only: give another folder",
        errno.ENOENT: "the folder does not exist: create it, or give another folder",
        errno.ENOTDIR: "a file stands where a folder is needed: give another folder",
        errno.EEXIST: "a file stands where a folder is needed: give another folder",
        errno.EISDIR: "a folder stands where the file should go: give a file name",
    }
    return OutputError(
        f"cannot be written ({os.strerror(error.errno) if error.errno else error})",
        where=str(path),
        hint=hints.get(error.errno or 0, "give another folder"),
    )


def sync_folder(folder: Path) -> None:
    """Synchronise the names in ``folder`` to the disk."""
    # Without it the rename itself can be lost in a power cut. Not every file system allows it.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
