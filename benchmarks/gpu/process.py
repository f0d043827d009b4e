"""A job in a process of its own, with a time limit; a job that hangs, crashes or fails gives its reason."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

GRACE = 2.0
"""Seconds that are kept for the report."""


@dataclass(frozen=True)
class Outcome:
    """What a job gave, or why it gave nothing."""

    seconds: float
    value: dict[str, Any] | None = None
    problem: str = ""


class Running:
    """A started job; ``wait`` ends it at its limit. Its answer is the last line of its stdout."""

    def __init__(self, command: list[str], limit: float, log: Path) -> None:
        self._began, self._limit, self._log = time.monotonic(), limit, log
        self._out = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by ``wait``
        with log.open("a", encoding="utf-8") as errors:
            print(f"$ {' '.join(command)}", file=errors, flush=True)
            self._from = errors.tell()
            # A group of its own, as a job has children too: compilers, the program under a sanitizer.
            self._child = subprocess.Popen(command, stdout=self._out, stderr=errors, start_new_session=True)

    def wait(self) -> Outcome:
        """Return the outcome; the whole group of the job's processes is ended at its limit."""
        left = self._limit - (time.monotonic() - self._began)
        try:
            code: int | None = self._child.wait(max(left, 0.1))
        except subprocess.TimeoutExpired:
            code = None
        self._end()
        seconds = time.monotonic() - self._began
        with self._out:
            self._out.seek(0)
            lines = self._out.read().splitlines()
        if code is None:
            return Outcome(seconds, problem=f"it was ended after {seconds:.0f} s")
        if code < 0:
            return Outcome(seconds, problem=f"it ended by {signal.Signals(-code).name}")
        if code > 0 or not lines:
            return Outcome(seconds, problem=self._last_error() or f"exit code {code}")
        value: dict[str, Any] = json.loads(lines[-1])
        return Outcome(seconds, value)

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def _last_error(self) -> str:
        with self._log.open("rb") as file:
            file.seek(self._from)
            lines = file.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]


def job_command(kind: str, *arguments: object) -> list[str]:
    """Return the command of a job: ``kind`` is one of ``benchmarks.gpu.job``."""
    return [sys.executable, "-m", "benchmarks.gpu.job", kind, *map(str, arguments)]
