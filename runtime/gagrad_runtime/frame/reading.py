"""Reading: the bytes of an image file, or an error that says why there are none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame.decoding import FORMATS

MAX_FILE_BYTES = 1 << 30
"""Largest file that is read: 100 million 16-bit colour pixels, not compressed, are 600 MB."""


def read_bytes(where: str) -> bytes:
    """Return the bytes of the regular file ``where``. Never waits: a pipe or a device is refused."""
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        descriptor = os.open(where, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            _check_kind(status, where)
            data = stream.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError as error:
        raise _folder(where) from error
    except FileNotFoundError as error:
        raise FrameError("there is no such file", where=where, hint=_hint_missing(where)) from error
    except PermissionError as error:
        raise FrameError(
            "this user may not read the file", where=where, hint="give read permission: chmod +r"
        ) from error
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise FrameError(f"the file cannot be read ({reason})", where=where) from error
    if not data:
        raise FrameError("the file is empty (0 bytes)", where=where, hint="copy or record the frame again")
    if len(data) > MAX_FILE_BYTES:
        raise _too_many_bytes(where)
    return data


def _check_kind(status: os.stat_result, where: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _folder(where)
    if not stat.S_ISREG(status.st_mode):
        raise FrameError(
            "this is a pipe or a device, not a file", where=where, hint="write the frame to a file first"
        )
    if status.st_size > MAX_FILE_BYTES:
        raise _too_many_bytes(where)


def _folder(where: str) -> FrameError:
    return FrameError(
        "this is a folder, not an image file",
        where=where,
        hint=f"name the files in it, e.g. {Path(where) / '*.png'}",
        choices=FORMATS,
    )


def _hint_missing(where: str) -> str:
    parent = Path(where).parent
    return (
        "check the path" if parent.is_dir() else f"the folder {parent} does not exist either; check the path"
    )


def _too_many_bytes(where: str) -> FrameError:
    return FrameError(
        f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB, the limit for a frame",
        where=where,
        hint="cut the frame to the part that is inspected",
    )
