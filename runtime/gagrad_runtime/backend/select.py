"""Which backend a ``--device`` name means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.errors import DeviceError
from gagrad_runtime.backend.onnxruntime import OnnxRuntimeBackend

if TYPE_CHECKING:
    from gagrad_runtime.backend.base import Backend

DEVICES = ("auto", "cpu")
"""Names that this version accepts; ``auto`` takes the first that works."""


def open_backend(device: str = "auto", *, threads: int | None = None) -> Backend:
    """Return the backend for ``device``. Raises DeviceError and MissingPackageError."""
    if device not in DEVICES:
        raise DeviceError(
            f"no device {device!r} in this version", where="--device", choices=DEVICES, hint="use cpu"
        )
    return OnnxRuntimeBackend("CPUExecutionProvider", threads=threads)
