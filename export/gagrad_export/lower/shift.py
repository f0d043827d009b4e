"""Shift, which moves lines by fractions of a pixel, as one gather and a linear interpolation.

Before: ``Shift(x, by; axis, size, start)``: y[i] = x[i + start + by] along the axis, linear, zero outside.

After: with k = ⌊by⌋ and f = by − k, ``g[i] = x[i + start + k]`` for i = 0 … size (one element more than y
has), then ``y = g[:-1] + f·(g[1:] − g[:-1])``. g is a GatherElements from x padded with one zero on each
side; indices outside are clipped to these zeros.

With ``by`` = 0 the result is x, bit for bit. The adjoint of a Shift is a Shift, so no scatter with a sum is
needed, which TensorRT lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op

_INT32 = 6


def lower_shift(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered Shift ``node``: x with each line moved."""
    x, by = operand(node, 0), operand(node, 1)
    axis, size, start = (attribute(node, name) for name in ("axis", "size", "start"))
    shape = static_shape(x)
    length = shape[axis] or 0
    whole = op.Floor(by)
    line = [1] * len(shape)
    line[axis] = size + 1
    places = (np.arange(size + 1, dtype=np.float32) + start).reshape(line)
    index = op.Add(op.Clip(op.Add(whole, places), -1.0, float(length)), 1.0)
    spread = [1 if i == axis or dim is None else dim for i, dim in enumerate(shape)]
    index = op.Expand(op.Cast(index, to=_INT32), spread)
    sides = [int(i == axis) for i in range(len(shape))]
    gathered = op.GatherElements(op.Pad(x, sides + sides), index, axis=axis)
    near, far = op.Slice(gathered, [0], [size], [axis]), op.Slice(gathered, [1], [size + 1], [axis])
    return op.Add(near, op.Mul(op.Sub(by, whole), op.Sub(far, near)))
