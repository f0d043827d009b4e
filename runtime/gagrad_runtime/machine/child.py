"""What a child process does for itself: it ends with its parent, and takes no more than it may."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_the_parent() -> None:
    """Have the system end this process when the one that started it ends, in whatever way."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_first() -> None:
    """Have the system choose this process, and not its parent, when memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def private_memory() -> int:
    """Return the bytes of this process's memory that it shares with no file; 0 where unknown."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    except (OSError, LookupError, ValueError, StopIteration):
        return 0


def limit(seconds: float, memory: int) -> None:
    """Let this process take so many more ``seconds`` of processor time and hold ``memory`` bytes at most.

    Beyond the time the system ends it by SIGPROF; 0 lifts that. Beyond the memory it gets none. Without an
    effect where there are no such limits (Windows).
    """
    # RLIMIT_CPU counts from the start in ticks, of which a busy machine counts too many: after some hundred
    # files it would end a process that has done nothing.
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - not on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (memory if hard < 0 else min(memory, hard), hard))


def no_core() -> None:
    """Leave no memory image behind when this process crashes."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - not on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
