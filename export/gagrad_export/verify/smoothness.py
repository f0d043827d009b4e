"""Networks without kinks, whose gradient hardly changes along a short segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SMOOTH = {
    *(
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Neg",
        "Sum",
        "Mean",
        "Reciprocal",
        "Sqrt",
        "Exp",
        "Sin",
        "Cos",
        "Identity",
    ),
    *("Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "AveragePool", "GlobalAveragePool", "Resize"),
    *("BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization"),
    *("RMSNormalization", "ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare"),
    *("Erf", "Gelu", "LogSoftmax", "Mish", "Sigmoid", "Softmax", "Softplus", "Swish", "Tanh"),
    *("Cast", "Concat", "Constant", "DepthToSpace", "Expand", "Flatten", "Gather", "Pad", "Reshape", "Shape"),
    *("Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
}
"""Operators with a second derivative wherever their result is finite. Other operators may have kinks."""


def is_smooth(operators: Iterable[str]) -> bool:
    """Tell whether all of a network's ``operators``, at least one, are known to have no kinks."""
    kinds = set(operators)
    return bool(kinds) and kinds <= _SMOOTH
