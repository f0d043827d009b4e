"""DeformConv as reading every tap by GridSample, and a convolution of size 1 over channels and taps.

Before: ``DeformConv(x, w, offset, b, mask)``. After: ``w′ ∗ (mask · GridSample(x, grid)) + b``. Tap k of
output pixel p reads x at ``stride·p − pad + dilation·k + offset[k, p]``, between pixels bilinearly and zero
outside, as GridSample does. ``w′`` is w with its taps beside the channels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.canonicalise.rewrite.writing import Rewriting, not_rewritten
from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from gagrad_export.emit import Op


class ReplaceDeformConv(Rewriting):
    """Rewrites every DeformConv. Raises UnsupportedOperatorError where it has other than two spatial axes."""

    operators = ("DeformConv",)
    limits = "two spatial axes; as large as GridSample may be"

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value]:
        """Return y ``[N, C, h, w]``."""
        return [_sampled(op, node)]


def _sampled(op: Op, node: ir.Node) -> ir.Value:
    x, w, offset = (operand(node, index) for index in range(3))
    bias, mask = (node.inputs[index] if len(node.inputs) > index else None for index in (3, 4))
    if len(static_shape(x)) != 4:
        raise not_rewritten(node, f"it has {len(static_shape(x)) - 2} spatial axes; 2 are supported")
    rows, channels, *size = _numbers(x)
    outputs, per_group, *kernel = _numbers(w)
    spread, taps = _numbers(node.outputs[0])[2:], math.prod(kernel)
    groups = attribute(node, "offset_group", 1)
    grid = _grid(op, node, op.Reshape(offset, [rows * groups, taps, 2, *spread]), size, kernel)
    read = op.GridSample(
        op.Reshape(x, [rows * groups, channels // groups, *size]),
        op.Reshape(grid, [rows * groups, taps * spread[0], spread[1], 2]),
        align_corners=0,
    )
    if mask is not None:
        read = op.Reshape(read, [rows, groups, channels // groups, taps, *spread])
        read = op.Mul(read, op.Reshape(mask, [rows, groups, 1, taps, *spread]))
    read = op.Reshape(read, [rows, channels * taps, *spread])
    known = constant_array(w)
    shape = [outputs, per_group * taps, 1, 1]
    weights = op.Reshape(w, shape) if known is None else op.constant(known.reshape(shape))
    return op.Conv(read, weights, bias, group=attribute(node, "group", 1))


def _grid(op: Op, node: ir.Node, offset: ir.Value, size: list[int], kernel: list[int]) -> ir.Value:
    """Return where the taps read, ``[N·groups, taps, h, w, 2]`` as (x, y) in −1 … 1 from edge to edge."""
    strides, dilations = (attribute(node, name, [1, 1]) for name in ("strides", "dilations"))
    pads, spread = attribute(node, "pads", [0] * 4), _numbers(offset)[-2:]
    lines = []
    for axis in (0, 1):
        pixel = np.arange(spread[axis]) * strides[axis] - pads[axis]
        tap = np.arange(kernel[axis]) * dilations[axis]
        lines.append(tap[:, None] + pixel)
    y = np.broadcast_to(lines[0][:, None, :, None], (*kernel, *spread))
    x = np.broadcast_to(lines[1][None, :, None, :], (*kernel, *spread))
    fixed = np.stack([y, x], axis=2).reshape(-1, 2, *spread)
    scale = 2 / np.array(size, np.float64).reshape(2, 1, 1)
    # (2p + 1) / size − 1, the constants together.
    place = op.Add(op.Mul(offset, scale), op.constant((fixed + 0.5) * scale - 1, like=offset))
    turned = op.Transpose(place, perm=[0, 1, 3, 4, 2])
    return op.Gather(turned, [1, 0], axis=4)


def _numbers(value: ir.Value) -> list[int]:
    """Return the shape for the fixed batch: all dimensions are numbers, as the pass needs FIXED shapes."""
    return [dim for dim in static_shape(value) if dim is not None]
