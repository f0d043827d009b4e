"""Job: does a session open on a device? And what the machine is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import GagradError
from gagrad_runtime.machine.nvidia import nvidia_device

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.gpu.machine import Machine


def run(machine: Machine, folder: Path, device: str) -> dict[str, Any]:  # noqa: ARG001 - as every job
    """Return the engine of ``device``, or why it does not open."""
    try:
        backend = machine.open(device)
    except GagradError as error:
        return {"problem": error.what}
    return {"engine": backend.description, "precision": backend.precision, "card": nvidia_device()}
