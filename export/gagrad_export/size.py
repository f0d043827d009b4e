"""The size limit of a graph, in bytes: an ONNX file without external data is one protobuf message."""

from __future__ import annotations

from gagrad_edge.errors import ModelError

LIMIT = 2**31 - 1
"""Largest protobuf message, in bytes."""
SMALLER = "explain a smaller model, or one with float16 weights"


def check_size(size: int, what: str, where: str, hint: str) -> None:
    """Raise ModelError if ``what``, which has ``size`` bytes, does not fit into one ONNX file."""
    if size > LIMIT:
        raise ModelError(
            f"{what} is larger than 2 GiB ({size / 2**30:.1f}), which one ONNX file cannot hold",
            where=where,
            hint=hint,
        )
