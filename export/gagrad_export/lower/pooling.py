"""Poolings that compilers refuse: with dilation, or LpPool with a norm that they do not support.

Before → after, w a window of ones per channel:

``MaxPool(x)`` with dilations → the maximum over the strided slices that the window's elements read.
``AveragePool(x)`` with dilations → ``Conv(x, w)`` divided by the number of elements averaged.
``LpPool(x)`` with dilations, over one axis, or with p > 2 → ``Conv(|x|ᵖ, w)^(1/p)``.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.window import Window, averaged_counts
from gagrad_export.emit import attribute, fixed_shape, operand
from gagrad_export.lower.offset_mask import LOWEST

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


def lower_dilated_max_pool(op: Op, node: ir.Node) -> ir.Value | None:
    """Return a dilated MaxPool as a maximum of slices; None for a MaxPool without dilation."""
    x = operand(node, 0)
    window = _covering(node)
    if max(window.dilations) == 1 or len(node.outputs) > 1:
        return None
    pads = [0, 0, *window.begin, 0, 0, *window.end]
    padded = op.Pad(x, pads, op.constant(LOWEST, like=x)) if any(pads) else x
    axes = list(range(2, 2 + len(window.kernel)))
    slices = []
    for offset in product(*(range(k) for k in window.kernel)):
        first = [d * u for d, u in zip(window.dilations, offset, strict=True)]
        spans = zip(fixed_shape(node.outputs[0])[1:], window.strides, strict=True)
        last = [start + (n - 1) * s + 1 for start, (n, s) in zip(first, spans, strict=True)]
        slices.append(op.Slice(padded, first, last, axes, window.strides))
    return op.Max(*slices)


def lower_dilated_average_pool(op: Op, node: ir.Node) -> ir.Value | None:
    """Return a dilated AveragePool as a convolution; None for an AveragePool without dilation."""
    x = operand(node, 0)
    size = fixed_shape(x)[1:]
    window = Window.of(node, size)
    if max(window.dilations) == 1:
        return None
    return op.Mul(_window_sums(op, node, x), 1 / averaged_counts(node, window, size))


def lower_lp_pool(op: Op, node: ir.Node) -> ir.Value | None:
    """Return an LpPool as powers and a convolution; None for an LpPool that compilers accept."""
    x, p = operand(node, 0), attribute(node, "p", 2)
    window = _covering(node)
    if max(window.dilations) == 1 and len(window.kernel) > 1 and p <= 2:
        return None
    return op.Pow(_window_sums(op, node, op.Pow(op.Abs(x), float(p))), 1 / p)


def _window_sums(op: Op, node: ir.Node, x: ir.Value) -> ir.Value:
    """Return the sum of ``x`` over each window of the pooling ``node``, per channel."""
    window, channels = _covering(node), fixed_shape(x)[0]
    return op.Conv(
        x,
        op.constant(np.ones((channels, 1, *window.kernel)), like=x),
        strides=window.strides,
        dilations=window.dilations,
        pads=[*window.begin, *window.end],
        group=channels,
    )


def _covering(node: ir.Node) -> Window:
    size = fixed_shape(operand(node, 0))[1:]
    return Window.of(node, size).covering(size, fixed_shape(node.outputs[0])[1:])
