"""Convolution and its transpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.differentiate.registry import vjp
from gagrad_export.differentiate.window import Window
from gagrad_export.emit import attribute, fixed_shape, operand

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
