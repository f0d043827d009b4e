"""Convolution and its transpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.differentiate.registry import vjp
from gagrad_export.differentiate.window import Window
from gagrad_export.emit import attribute, constant_array, fixed_shape, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("Conv", since=(1, 11, 22))
def conv(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value | None]:
    """y = w ∗ x + b  ⟹  dx = wᵀ ∗ dy, the adjoint (``lower/convolution.py``); db = Σ dy per channel.

    For weights that are computed from the image, dw is the correlation of x with dy.
    """
    x, w = operand(node, 0), operand(node, 1)
    window = Window.of(node, fixed_shape(x)[1:], fixed_shape(w)[1:])
    dx = op.internal(
        "ConvInputGradient",
        [dy, w],
        like=x,
        strides=window.strides,
        pads=[*window.begin, *window.end],
        dilations=window.dilations,
        group=attribute(node, "group", 1),
    )
    return [dx, _weight_gradient(op, node, x, dy, window), *_bias_gradient(op, node, dy)]


@vjp("ConvTranspose", since=(1, 11, 22))
def conv_transpose(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value | None]:
    """y = wᵀ ∗ x + b  ⟹  dx = w ∗ dy, the convolution whose adjoint this operator is; db = Σ dy per channel.

    For weights that are computed from the image, dw is the correlation of dy with x.
    """
    x, w = operand(node, 0), operand(node, 1)
    size = fixed_shape(x)[1:]
    window = Window.of_transpose(node, size, fixed_shape(w)[1:])
    dx = op.Conv(
        dy,
        w,
        strides=window.strides,
        pads=[*window.begin, *window.end],
        dilations=window.dilations,
        group=attribute(node, "group", 1),
    )
    # If the output padding is a stride or more, no element of x reaches the last outputs: dx is cropped.
    return [
        _cropped(op, dx, size),
        _weight_gradient(op, node, dy, x, window),
        *_bias_gradient(op, node, dy),
    ]


def _weight_gradient(op: Op, node: ir.Node, x: ir.Value, dy: ir.Value, window: Window) -> ir.Value | None:
    """y[n, m] = Σ_c w[m, c] ∗ x[n, c]  ⟹  dw[m, c] = Σₙ x[n, c] ∗ dy[n, m].

    This is a convolution with swapped roles: the batch takes the place of the channels and dy that of the
    window; stride and dilation swap, since the offset d·k moves where s·i did.

    Returns None for constant weights. Also None for a free batch: weights computed from the images would mix
    the rows of the batch.
    """
    w, group = operand(node, 1), attribute(node, "group", 1)
    if constant_array(w) is not None or static_shape(x)[0] is None:
        return None
    channels, *size = fixed_shape(x)
    axes = list(range(2, 2 + len(size)))
    apart = op.Reshape(x, [0, group, channels // group, *size])
    images = op.Reshape(
        op.Transpose(apart, perm=[2, 1, 0, *(axis + 1 for axis in axes)]), [channels // group, -1, *size]
    )
    correlation = op.Conv(
        images,
        op.Transpose(dy, perm=[1, 0, *axes]),
        strides=window.dilations,
        dilations=window.strides,
        pads=[*window.begin, *window.end],
        group=group,
    )
    return op.Transpose(_cropped(op, correlation, window.kernel), perm=[1, 0, *axes])


def _bias_gradient(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """Return [db] if the bias is computed from the image, else []."""
    if len(node.inputs) < 3 or constant_array(node.inputs[2]) is not None:
        return []
    rank = len(static_shape(dy))
    return [op.ReduceSum(dy, [axis for axis in range(rank) if axis != 1], keepdims=0)]


def _cropped(op: Op, value: ir.Value, size: list[int]) -> ir.Value:
    """Return ``value`` cropped to its first ``size`` elements along each spatial axis."""
    longer = [i for i, length in enumerate(fixed_shape(value)[1:]) if length > size[i]]
    if not longer:
        return value
    return op.Slice(value, [0] * len(longer), [size[i] for i in longer], [2 + i for i in longer])
