"""Pooling. Averages are convolutions with equal weights, and so are their adjoints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.registry import vjp
from gagrad_export.differentiate.window import Window
from gagrad_export.emit import attribute, fixed_shape, operand

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op


@vjp("GlobalAveragePool", since=(1, 22))
def global_average_pool(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = mean of x over the spatial axes  ⟹  dx = dy / (H·W), the same at every pixel."""
    x = operand(node, 0)
    return op.Mul(dy, 1 / math.prod(fixed_shape(x)[1:]))


@vjp("AveragePool", since=(7, 10, 11, 19, 22))
def average_pool(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = w ∗ x with equal weights, per channel  ⟹  dx = wᵀ ∗ (dy / n), n the elements that were averaged.

    ``count_include_pad`` and ``ceil_mode`` only change n, which is known now.
    """
    x = operand(node, 0)
    channels, *size = fixed_shape(x)
    window = Window.of(node, size)
    counts = [_counts(window, axis, size[axis], node) for axis in range(len(size))]
    divisor = counts[0]
    for count in counts[1:]:
        divisor = divisor[..., None] * count
    return op.internal(
        "ConvInputGradient",
        [op.Mul(dy, 1 / divisor), op.constant(np.ones((channels, 1, *window.kernel), np.float32), like=x)],
        like=x,
        strides=window.strides,
        pads=[*window.begin, *_reached(window, size, node)],
        dilations=window.dilations,
        group=channels,
    )


@vjp("MaxPool", since=(8, 10, 11, 12, 22))
def max_pool(op: Op, node: ir.Node, dy: ir.Value, *dindices: ir.Value) -> ir.Value:
    """y = max of x over the window  ⟹  dx = dy where x was the maximum; the first of equals, as in PyTorch.

    The index output of MaxPool would tell which, but compilers refuse it: see ``lower/max_pool.py``.
    """
    x, y = operand(node, 0), node.outputs[0]
    assert x is not None  # noqa: S101 - required input
    size = fixed_shape(x)[1:]
    window = Window.of(node, size)
    return op.internal(
        "MaxPoolInputGradient",
        [x, y, dy],
        like=x,
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=[*window.begin, *_reached(window, size, node)],
        dilations=window.dilations,
    )


def _reached(window: Window, size: list[int], node: ir.Node) -> list[int]:
    """Return the end padding that the windows really reach: ``ceil_mode`` may read further."""
    outputs = fixed_shape(node.outputs[0])[1:]
    return [
        max(window.end[i], (outputs[i] - 1) * window.strides[i] + window.reach(i) - size[i] - window.begin[i])
        for i in range(len(size))
    ]


def _counts(window: Window, axis: int, size: int, node: ir.Node) -> NDArray[np.float32]:
    """Return, per output position along ``axis``, how many elements the average divides by."""
    first, last = 0, size
    if attribute(node, "count_include_pad", 0):
        first, last = -window.begin[axis], size + window.end[axis]
    positions = np.arange(fixed_shape(node.outputs[0])[1:][axis]) * window.strides[axis] - window.begin[axis]
    taps = positions[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
    counts: NDArray[np.float32] = ((taps >= first) & (taps < last)).sum(axis=1).astype(np.float32)
    return counts
