"""Convolution and its transpose, and the normalisation that usually follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.registry import vjp
from gagrad_export.differentiate.window import Window
from gagrad_export.emit import attribute, constant_array, fixed_shape, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("Conv", since=(1, 11, 22))
def conv(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = w ∗ x + b  ⟹  dx = wᵀ ∗ dy, the adjoint of the convolution; see ``lower/convolution.py``."""
    x, w = operand(node, 0), operand(node, 1)
    window = Window.of(node, fixed_shape(x)[1:], fixed_shape(w)[1:])
    return [
        op.internal(
            "ConvInputGradient",
            [dy, w],
            like=x,
            strides=window.strides,
            pads=[*window.begin, *window.end],
            dilations=window.dilations,
            group=attribute(node, "group", 1),
        )
    ]


@vjp("ConvTranspose", since=(1, 11, 22))
def conv_transpose(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = wᵀ ∗ x + b  ⟹  dx = w ∗ dy: the convolution whose adjoint the operator is."""
    x, w = operand(node, 0), operand(node, 1)
    window = Window.of_transpose(node, fixed_shape(x)[1:], fixed_shape(w)[1:])
    return [
        op.Conv(
            dy,
            w,
            strides=window.strides,
            pads=[*window.begin, *window.end],
            dilations=window.dilations,
            group=attribute(node, "group", 1),
        )
    ]


@vjp("BatchNormalization", since=(9, 14, 15), elementwise=True)
def batch_normalization(op: Op, node: ir.Node, dy: ir.Value, *running: ir.Value | None) -> list[ir.Value]:
    """y = γ·(x − μ)/√(σ² + ε) + β with fixed μ, σ²  ⟹  dx = dy·γ/√(σ² + ε)."""
    x, gamma, variance = operand(node, 0), operand(node, 1), operand(node, 4)
    epsilon = attribute(node, "epsilon", 1e-5)
    known = [constant_array(gamma), constant_array(variance)]
    assert x.shape is not None  # noqa: S101 - canonical values are shaped
    broadcast = [1, -1] + [1] * (x.shape.rank() - 2)
    if known[0] is not None and known[1] is not None:
        scale = op.constant((known[0] / np.sqrt(known[1] + np.float32(epsilon))).reshape(broadcast))
    else:
        scale = op.Reshape(op.Div(gamma, op.Sqrt(op.Add(variance, epsilon))), broadcast)
    return [op.Mul(dy, scale)]
