"""The internal operator Shift, which moves each line of an image by its own amount, and its derivative."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import INTERNAL, attribute, operand, static_shape

if TYPE_CHECKING:
    from gagrad_export.emit import Op


def shift(op: Op, x: ir.Value, by: ir.Value, *, axis: int, size: int, start: int = 0) -> ir.Value:
    """Return y with y[…, i, …] = x[…, i + start + by, …] for i = 0 … ``size`` − 1 along ``axis``.

    ``x`` is interpolated linearly and is zero outside. ``by``, in elements, has size 1 along ``axis`` and
    broadcasts to ``x`` along the other axes, so a line is moved as a whole.
    """
    y = op.internal("Shift", [x, by], like=x, axis=axis, size=size, start=start)
    shape = list(x.shape or ())
    shape[axis] = size
    y.shape = ir.Shape(shape)
    return y


@vjp("Shift", since=0, domain=INTERNAL)
def shift_gradient(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = x moved by −(start + by)  ⟹  dx = dy moved by start + by: the interpolation kernel is symmetric."""
    x, axis = operand(node, 0), attribute(node, "axis")
    size = static_shape(x)[axis] or 0
    start = -attribute(node, "start")
    return [shift(op, dy, op.Neg(operand(node, 1)), axis=axis, size=size, start=start)]
