"""Files that are mapped instead of read: their bytes are those of the page cache and cost no memory of ours.

A mapped file shows what is written into it later. So a file is mapped only if no other user can write it:
what was hashed stays what is used. Its owner replaces a bundle by a new file, as every command here does; who
writes into the file itself changes the weights of a program that runs, or ends it.
"""

from __future__ import annotations

import mmap
import os
import stat
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gagrad_edge.bundle.archive import Buffer

SMALL = 64 << 10
"""Files below this are read: a mapping takes whole pages and a system call of its own."""
_ROOT = 0


def contents(stream: IO[bytes], size: int, *, mapped: bool = True, small: int = SMALL) -> memoryview:
    """Return the first ``size`` bytes of the unbuffered or fresh ``stream``, fewer where the file is shorter.

    They are mapped where ``mapped`` is true, there are at least ``small`` of them, no other user can write
    the file, and the system maps it; else they are a copy.
    """
    if mapped and size >= small and _is_private(os.fstat(stream.fileno())):
        try:
            return memoryview(mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ))
        except (OSError, ValueError):  # a file system that maps nothing, or a file that was cut
            pass
    data = memoryview(bytearray(size))
    position = 0
    stream.seek(0)
    while position < size and (count := stream.readinto(data[position:])):  # type: ignore[attr-defined]
        position += count
    return data[:position].toreadonly()


def release(buffers: Iterable[Buffer]) -> None:
    """Give back the pages of mapped ``buffers``; a page that is read again comes back from the page cache."""
    maps = {id(one.obj): one.obj for one in buffers if isinstance(one, memoryview)}
    for found in maps.values():
        if isinstance(found, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            found.madvise(mmap.MADV_DONTNEED)


def _is_private(information: os.stat_result) -> bool:
    """Tell whether only this user and root can write the file."""
    user = getattr(os, "geteuid", None)
    if user is None:  # Windows, which does not let anybody write into a mapped file
        return True
    shared = information.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return information.st_uid in (_ROOT, user()) and not shared
