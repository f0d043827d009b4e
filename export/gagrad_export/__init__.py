"""The workstation side: a model in, a bundle out.

``export("model.onnx", "part.gagrad", size=(224, 224))`` is the whole of it; the option structs are what
``export`` takes beside the everyday parameters, and ``errors`` has every exception that it raises.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gagrad_edge import errors

if TYPE_CHECKING:
    from gagrad_edge.manifest import MethodSpec
    from gagrad_export.options import BundleOptions, InputOptions, OutputOptions, TorchFactory
    from gagrad_export.pipeline import ExportReport, export

_MODULES = {
    "BundleOptions": "gagrad_export.options",
    "ExportReport": "gagrad_export.pipeline",
    "InputOptions": "gagrad_export.options",
    "MethodSpec": "gagrad_edge.manifest",
    "OutputOptions": "gagrad_export.options",
    "TorchFactory": "gagrad_export.options",
    "export": "gagrad_export.pipeline",
}
"""Where each public name is, imported when the name is first used: the exporter needs onnx, and a plain
``import gagrad_export`` should not."""

__all__ = [
    "BundleOptions",
    "ExportReport",
    "InputOptions",
    "MethodSpec",
    "OutputOptions",
    "TorchFactory",
    "errors",
    "export",
]


def __getattr__(name: str) -> Any:
    """Import a public name's module."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, for editors and notebooks that complete them."""
    return list(__all__)
