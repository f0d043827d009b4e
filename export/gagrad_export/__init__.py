"""The workstation side: a model in, a bundle out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gagrad_export.pipeline import ExportReport, export

__all__ = ["ExportReport", "export"]


def __getattr__(name: str) -> Any:
    """Import the exporter when it is first asked for: it needs onnx, which a bare import should not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gagrad_export import pipeline  # noqa: PLC0415

    return getattr(pipeline, name)
