"""Pooling. An average pooling is a convolution with equal weights, and so is its adjoint."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.registry import vjp
from gagrad_export.differentiate.window import Window, averaged_counts
from gagrad_export.emit import as_float, attribute, fixed_shape, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("GlobalAveragePool", since=(1, 22))
def global_average_pool(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = mean of x over the spatial axes  ⟹  dx = dy / (H·W), the same at every pixel."""
    x = operand(node, 0)
    return op.Mul(dy, 1 / math.prod(fixed_shape(x)[1:]))


@vjp("GlobalMaxPool", since=(1, 22))
def global_max_pool(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = max of x over the spatial axes  ⟹  dx = dy where x = y, shared evenly among ties (as ReduceMax)."""
    x, y = operand(node, 0), node.outputs[0]
    winners = as_float(op, op.Equal(x, y), x)
    axes = list(range(2, len(static_shape(x))))
    return op.Mul(winners, op.Div(dy, op.ReduceSum(winners, axes, keepdims=1)))


@vjp("GlobalLpPool", since=(2, 22))
def global_lp_pool(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = (Σ|x|ᵖ)^(1/p) over the spatial axes  ⟹  dx = dy·y^(1−p)·|x|^(p−1)·sign x."""
    x, p = operand(node, 0), attribute(node, "p", 2)
    return op.Mul(_norm_slope(op, x, p), _per_norm(op, node.outputs[0], dy, p))


@vjp("AveragePool", since=(7, 10, 11, 19, 22))
def average_pool(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = w ∗ x with equal weights, per channel  ⟹  dx = wᵀ ∗ (dy / n), n the number of averaged elements.

    ``count_include_pad`` and ``ceil_mode`` change only n, which is a constant for each output position.
    """
    size = fixed_shape(operand(node, 0))[1:]
    counts = averaged_counts(node, Window.of(node, size), size)
    if counts.min() == counts.max():
        return _spread_over_windows(op, node, dy, 1 / float(counts.min()))
    return _spread_over_windows(op, node, op.Mul(dy, 1 / counts), 1.0)


@vjp("LpPool", since=(2, 11, 18, 22))
def lp_pool(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = (w ∗ |x|ᵖ)^(1/p), w all ones, per channel  ⟹  dx = |x|^(p−1)·sign x·(wᵀ ∗ (dy·y^(1−p)))."""
    x, p = operand(node, 0), attribute(node, "p", 2)
    shares = _spread_over_windows(op, node, _per_norm(op, node.outputs[0], dy, p), 1.0)
    return op.Mul(_norm_slope(op, x, p), shares)


@vjp("MaxPool", since=(8, 10, 11, 12, 22))
def max_pool(op: Op, node: ir.Node, dy: ir.Value, *dindices: ir.Value) -> ir.Value:
    """y = max of x over the window  ⟹  dx = dy at the maximum; at the first of equal maxima, as in PyTorch.

    The maximum is found without the index output of MaxPool, which compilers refuse: ``lower/max_pool.py``.
    """
    x, y = operand(node, 0), node.outputs[0]
    size = fixed_shape(x)[1:]
    window = Window.of(node, size).covering(size, fixed_shape(y)[1:])
    return op.internal(
        "MaxPoolInputGradient",
        [x, y, dy],
        like=x,
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=[*window.begin, *window.end],
        dilations=window.dilations,
    )


def _spread_over_windows(op: Op, node: ir.Node, dy: ir.Value, weight: float) -> ir.Value:
    """Return the adjoint of summing every window of the pooling ``node`` and scaling by ``weight``."""
    x = operand(node, 0)
    channels, *size = fixed_shape(x)
    window = Window.of(node, size).covering(size, fixed_shape(node.outputs[0])[1:])
    return op.internal(
        "ConvInputGradient",
        [dy, op.constant(np.full((channels, 1, *window.kernel), weight), like=x)],
        like=x,
        strides=window.strides,
        pads=[*window.begin, *window.end],
        dilations=window.dilations,
        group=channels,
    )


def _norm_slope(op: Op, x: ir.Value, p: int) -> ir.Value:
    """Return |x|^(p−1)·sign x, the derivative of |x|ᵖ/p."""
    return x if p == 2 else op.Mul(op.Sign(x), op.Pow(op.Abs(x), float(p - 1)))


def _per_norm(op: Op, y: ir.Value, dy: ir.Value, p: int) -> ir.Value:
    """Return dy·y^(1−p), and a finite value instead of 0/0 where the norm y is 0 (there all x are 0)."""
    power = op.Pow(y, float(p - 1))
    return op.Div(dy, op.Add(power, as_float(op, op.Equal(power, 0.0), y)))
