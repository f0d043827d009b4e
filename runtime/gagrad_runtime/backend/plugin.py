"""Execution providers from packages of their own, registered with ONNX Runtime at run time."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import DeviceError, MissingPackageError

if TYPE_CHECKING:
    from gagrad_runtime.backend.providers import Provider


def plugin_devices(onnxruntime: Any, provider: Provider) -> list[Any]:
    """Return a list of the first device of a plug-in provider, which is registered once per process.

    Raises MissingPackageError, and DeviceError when the provider finds no device.
    """
    where = f"device={provider.device}"
    try:
        module = importlib.import_module(provider.plugin)
    except Exception as error:
        raise MissingPackageError(
            f"{provider.plugin} is not installed or does not load ({error})",
            where=where,
            hint=provider.install,
        ) from error
    if not hasattr(onnxruntime, "register_execution_provider_library"):
        raise MissingPackageError(
            f"onnxruntime {onnxruntime.__version__} takes no plug-ins",
            where=where,
            hint='pip install "onnxruntime>=1.24"',
        )
    try:
        name = module.get_ep_name()
        if not _of(onnxruntime, name):
            onnxruntime.register_execution_provider_library(name, module.get_library_path())
        devices = _of(onnxruntime, name)
    except Exception as error:
        raise DeviceError(f"{provider.name} does not load ({error})", where=where) from error
    if not devices:
        raise DeviceError(f"{provider.name} finds no device on this machine", where=where, hint="use cpu")
    return devices[:1]


def _of(onnxruntime: Any, name: str) -> list[Any]:
    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
