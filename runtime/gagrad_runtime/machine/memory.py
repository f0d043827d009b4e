"""Memory of this process, and memory left on the machine, from Linux and its control groups."""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's settings M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""


@dataclass(frozen=True)
class Memory:
    """Memory where an engine computes, bytes."""

    used: int
    """Bytes held by this process."""
    available: int
    """Bytes that the process may still take."""


def return_freed_memory() -> None:
    """Return to the system what this process has freed; glibc keeps blocks of up to 32 MB for itself."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> None:
    """Keep freed memory, up to 64 MB in each thread's heap, for what this process does again and again.

    For servers. Otherwise glibc gives the canvases of a picture back after each one in threads other than the
    first, and the next picture waits for thousands of pages. Blocks from 32 MB go back as before.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_TRIM_THRESHOLD, 64 << 20)
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)


def process_memory(root: Path = Path("/")) -> Memory | None:
    """Return the memory of this process, or None on a system other than Linux.

    Available is the least of the kernel's ``MemAvailable`` and what each control group around the process
    leaves; ``root`` is the root of the file system.
    """
    try:
        pages = int((root / "proc/self/statm").read_text().split()[1])
        fields = _table(root / "proc/meminfo")
        available = 1024 * fields["MemAvailable:"]
    except (OSError, LookupError, ValueError):
        return None
    return Memory(pages * os.sysconf("SC_PAGE_SIZE"), min([available, *_left_by_groups(root)]))


def _left_by_groups(root: Path) -> list[int]:
    """Return the free bytes of each control group with a limit; its page cache counts as free."""
    left = []
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                mount, limit, usage, cached = "", "memory.max", "memory.current", "inactive_file"
            elif "memory" in controllers.split(","):
                mount, limit, usage = "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
                cached = "total_inactive_file"
            else:
                continue
            # A container may see its own group as the root while /proc tells the host's path: of the path
            # and its parents those count that are there.
            group = Path(path)
            for name in (group, *group.parents):
                folder = root / "sys/fs/cgroup" / mount / str(name).lstrip("/")
                # The root group has no limit file, and "max" is no number: both mean no limit.
                with contextlib.suppress(OSError, ValueError):
                    free = int((folder / limit).read_text()) - int((folder / usage).read_text())
                    left.append(max(0, free + _table(folder / "memory.stat").get(cached, 0)))
    return left


def _table(path: Path) -> dict[str, int]:
    """Return the lines ``name number …`` of a file."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}
