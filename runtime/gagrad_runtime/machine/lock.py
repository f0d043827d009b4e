"""Lock files: exclusive between processes, released by the system when the process that holds one dies.

Standard library only, because the installer locks with it before any package is installed. Linux and macOS
lock with ``fcntl.flock``, Windows with ``msvcrt.locking``; both are imported when a lock is taken, so that
this module can be imported everywhere.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from gagrad_edge.atomic import output_error
from gagrad_edge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RETRY_SECONDS = 0.1
"""Pause between two attempts where the system cannot wait for a lock by itself (Windows)."""


def acquire(path: Path, *, wait: bool = False, mode: int = 0o644) -> int:
    """Return the file descriptor of the lock file at ``path``, made with ``mode`` if missing, and locked.

    The lock lasts until the descriptor is closed (``release``), in this process and in every child that
    inherited it. With ``wait`` the call blocks until the lock is free. The file is never deleted: another
    process could hold a lock on a name that is gone.

    Raises BlockingIOError when another process holds the lock and ``wait`` is false; OutputError when the
    file cannot be opened or the system has no file locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), mode)
    except OSError as error:
        raise output_error(path, error) from error
    try:
        _lock(descriptor, path, wait=wait)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def acquire_folder(folder: Path) -> int | None:
    """Return the descriptor of ``folder`` itself, locked; None where the system cannot lock a folder.

    It holds where a lock file does not: when that is deleted, another process would make a new one. Raises
    BlockingIOError when another process holds the lock, and OutputError when the folder cannot be opened.
    """
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise output_error(folder, error) from error
    try:
        _lock(descriptor, folder, wait=False)
    except OutputError:  # NFS and others lock files only
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def release(descriptor: int) -> None:
    """Release a lock that ``acquire`` returned."""
    os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True, mode: int = 0o644) -> Iterator[int]:
    """Hold the lock file at ``path`` during the block; give its descriptor. Raises what ``acquire`` does."""
    descriptor = acquire(path, wait=wait, mode=mode)
    try:
        yield descriptor
    finally:
        release(descriptor)


def _lock(descriptor: int, path: Path, *, wait: bool) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        _lock_first_byte(descriptor, path, wait=wait)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:  # a file system without locks
        raise output_error(path, error) from error


def _lock_first_byte(descriptor: int, path: Path, *, wait: bool) -> None:
    """Lock as Windows does: byte 0 of the file, which need not exist."""
    try:
        import msvcrt  # noqa: PLC0415 - on Windows only
    except ImportError as error:
        raise OutputError("this system has no file locks", where=str(path)) from error
    # mypy checks for Linux, whose type stubs leave this module's functions out.
    lock, kind = getattr(msvcrt, "locking"), getattr(msvcrt, "LK_NBLCK")  # noqa: B009
    while True:
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            lock(descriptor, kind, 1)
        except OSError as error:  # noqa: PERF203 - retrying is the purpose
            if not wait:
                raise BlockingIOError(error.errno, "another process holds the lock", str(path)) from error
            time.sleep(_RETRY_SECONDS)
        else:
            return
