"""TensorRT and TensorRT-RTX: engines built on the device that runs them, from the bundle's ONNX."""

from __future__ import annotations

from gagrad_runtime.backend.tensorrt.backend import TensorRtBackend
from gagrad_runtime.backend.tensorrt.library import KINDS

__all__ = ["KINDS", "TensorRtBackend"]
