"""Measurements in a child process: peak memory is a figure of the whole process, so each needs a new one."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

MB = 2**20


def in_child(module: str, *arguments: object, limit: float = 600) -> Any:
    """Return the value that ``python -m module arguments…`` passes to ``answer``.

    Raises RuntimeError with the last line of its error output.
    """
    command = [sys.executable, "-m", module, *(str(argument) for argument in arguments)]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"more than {limit:.0f} s") from None
    if child.returncode:
        raise RuntimeError((child.stderr.splitlines() or [f"exit code {child.returncode}"])[-1])
    return json.loads(child.stdout.splitlines()[-1])


def answer(value: object) -> None:
    """Pass ``value`` to the parent process, as the last line of stdout."""
    print(json.dumps(value))


class Peak:
    """Peak memory of this process from here on. Linux only."""

    def __init__(self) -> None:
        # Memory that loading freed and the C library kept is returned first; otherwise it would be used again and not count.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak to the current size
        self._start = _peak()

    def growth(self) -> float:
        """Return the growth from the start to the peak, in megabytes."""
        return (_peak() - self._start) / MB


def whole_peak() -> int:
    """Return the peak memory of this process since its start, in bytes."""
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])
