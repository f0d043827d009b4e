"""Loading: an ONNX file, or a torch module that torch exports to ONNX, becomes one ModelProto."""

from __future__ import annotations

from gagrad_export.load.onnx_file import Source, load_onnx_file

__all__ = ["Source", "load_onnx_file"]
