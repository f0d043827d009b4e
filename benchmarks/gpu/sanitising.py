"""Job: one explanation of the smallest bundle under compute-sanitizer, which finds accesses out of bounds."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.gpu.machine import Machine

FOUND = 9
"""Exit code of the sanitizer where it found something."""


def run(machine: Machine, folder: Path, network: str, device: str) -> dict[str, Any]:
    """Return what the sanitizer found, or why it did not run."""
    tool = machine.sanitizer_path()
    if tool is None:
        return {"skipped": [f"{machine.sanitizer}: it is not on the path"]}
    options = ["--error-exitcode", str(FOUND)] if machine.sanitizer == "compute-sanitizer" else []
    command = [*options, sys.executable, "-m", "benchmarks.gpu.job", "explain", machine.name]
    command += [str(folder), network, device, "0", "4", "1"]
    run = subprocess.run([tool, *command], capture_output=True, text=True, check=False)
    if run.returncode == FOUND:
        return {"failed": [f"{machine.sanitizer} on {device}: {(run.stdout + run.stderr)[-500:]}"]}
    if run.returncode:
        last = (run.stderr.splitlines() or [f"exit code {run.returncode}"])[-1]
        return {"skipped": [f"{machine.sanitizer} on {device}: {last[:200]}"]}
    return {"clean": f"{machine.sanitizer} found nothing in an explanation of {network} on {device}"}
