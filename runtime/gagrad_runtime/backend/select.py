"""The backend of a device name."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gagrad_edge.errors import DeviceError
from gagrad_runtime.backend.onnxruntime import OnnxRuntimeBackend
from gagrad_runtime.backend.openvino import OpenVinoBackend
from gagrad_runtime.backend.providers import PROVIDERS

if TYPE_CHECKING:
    from gagrad_runtime.backend.base import Backend

DEVICES = (
    "auto",
    *PROVIDERS,
    *(f"{name}:fp16" for name, provider in PROVIDERS.items() if provider.half),
    *("tensorrt", "tensorrt:fp16", "tensorrt:tf32", "tensorrt-rtx", "tensorrt-rtx:fp16", "tensorrt-rtx:tf32"),
    *("openvino", "openvino:bf16", "openvino:GPU", "openvino:NPU"),
)
"""Device names that this version accepts."""
AUTO = ("cuda", "cpu")
"""Devices that ``auto`` tries in this order; the first that opens is used."""

_log = logging.getLogger(__name__)


def open_backend(device: str = "auto", *, threads: int | None = None, keep: bool = False) -> Backend:
    """Return the backend for ``device``. Raises DeviceError and MissingPackageError.

    With ``keep`` ONNX Runtime's CPU provider keeps what it has made of a graph, as engines that compile do.
    """
    if device == "auto":
        return _first(threads, keep=keep)
    if device in PROVIDERS:
        return OnnxRuntimeBackend(PROVIDERS[device], threads=threads, keep=keep)
    engine, _, part = device.partition(":")
    if part == "fp16" and engine in PROVIDERS and PROVIDERS[engine].half:
        return OnnxRuntimeBackend(PROVIDERS[engine], threads=threads, precision="float16")
    if engine == "openvino" and part == "bf16":
        return OpenVinoBackend(threads=threads, numbers="bfloat16")
    if engine == "openvino":
        return OpenVinoBackend(part or "CPU", threads=threads)
    if engine in ("tensorrt", "tensorrt-rtx"):
        # Not at every start: five modules.
        from gagrad_runtime.backend.tensorrt import KINDS, TensorRtBackend  # noqa: PLC0415

        return TensorRtBackend(KINDS[engine], part)
    raise DeviceError(
        f"no device {device!r} in this version",
        where="device",
        choices=DEVICES,
        hint="use cpu; `gagrad-edge doctor` shows which of them this machine has",
    )


def _first(threads: int | None, *, keep: bool) -> Backend:
    first, last = AUTO
    try:
        return open_backend(first, threads=threads, keep=keep)
    except DeviceError as error:
        _log.debug("%s is not used: %s", first, error.what)
    return open_backend(last, threads=threads, keep=keep)
