"""The data folder, which belongs to the service's user while root installs: no link in it is followed.

Whoever took over the service may have put a link, a pipe or another user's file under any name there. So
root opens the folder once and works on descriptors: a name in it is opened without following, judged by what
was opened, and changed by its descriptor.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from gagrad_edge.atomic import make_folder, output_error
from gagrad_edge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 1 << 20
"""Bytes of the largest file that is read there: a trust state has some hundred."""
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_READ = os.O_RDONLY | _NOFOLLOW | getattr(os, "O_NONBLOCK", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)


def own(path: Path, folder: str, user: int, group: int) -> None:
    """Give ``path``, and the ``folder`` in it, which is made if missing, to a user.

    The group may write to ``folder``. Raises OutputError, also when a link or a file has its name.
    """
    with _opened(path) as descriptor:
        os.fchown(descriptor, user, group)
        os.chmod(descriptor, 0o755)  # noqa: PTH101, S103 - a descriptor; results are read by others
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o755, dir_fd=descriptor)
        try:
            inner = os.open(folder, _FOLDER | _NOFOLLOW, dir_fd=descriptor)
        except OSError as error:
            raise _odd(path / folder, "no folder") from error
        try:
            os.fchown(inner, user, group)
            os.chmod(inner, 0o2775)  # noqa: PTH101, S103
        finally:
            os.close(inner)


def make(path: Path, folder: str) -> None:
    """Make ``path`` and the ``folder`` in it, if missing. Raises OutputError."""
    with _opened(path) as descriptor, contextlib.suppress(FileExistsError):
        os.mkdir(folder, dir_fd=descriptor)


def read(path: Path, name: str) -> bytes | None:
    """Return the content of the file ``name`` in ``path``; None without one. Raises OutputError.

    It has to be a regular file of the folder's owner or of this user, with one name.
    """
    if not path.is_dir():
        return None
    with _opened(path) as descriptor:
        try:
            file = os.open(name, _READ, dir_fd=descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            if stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                raise _odd(path / name, "a link") from error
            raise
        found, folder = os.fstat(file), os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(file)
            raise _odd(path / name, "no regular file")
        with os.fdopen(file, "rb") as stream:
            if found.st_nlink > 1 or found.st_uid not in (folder.st_uid, os.geteuid()):
                raise _odd(path / name, "a file from elsewhere")
            data = stream.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise _odd(path / name, f"longer than {LARGEST} bytes")
            return data


def write(path: Path, name: str, data: bytes | None) -> None:
    """Write ``data`` to the file ``name`` in ``path``, for the folder's owner; None removes it.

    Raises OutputError.
    """
    with _opened(path) as descriptor:
        if data is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=descriptor)
            return
        part = f".{name}.{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW
        with os.fdopen(os.open(part, flags, 0o644, dir_fd=descriptor), "wb") as stream:
            owner = os.fstat(descriptor)
            if os.geteuid() == 0:
                os.fchown(stream.fileno(), owner.st_uid, owner.st_gid)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(part, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        os.fsync(descriptor)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Give a descriptor of the folder ``path``, which is made if missing. Raises OutputError.

    Its own name is in a folder of root, or of the user who installs.
    """
    make_folder(path)
    try:
        descriptor = os.open(path, _FOLDER)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise output_error(path, error) from error


def _odd(path: Path, what: str) -> OutputError:
    return OutputError(
        f"it is {what}, which the installer does not touch",
        where=str(path),
        hint="find out who put it there, remove it, and run the installer again",
    )
