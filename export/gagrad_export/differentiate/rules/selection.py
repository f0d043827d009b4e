"""Operators that take each element from one of their operands.

As in all rules, a mask is multiplied: that is several times faster than ``Where`` with a scalar branch. The
two differ only if the cotangent is infinite at an element that was not selected: ``Where`` gives 0, the
product gives 0·∞ = NaN. A later operator must then have an infinite slope (√, ln, 1/x at 0) exactly at the
value of the other branch. The NaN shows in the map, so it is not mistaken for a gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import as_float, attribute, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("Where", since=(9, 16))
def where(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value | None]:
    """y = a where c, b elsewhere  ⟹  da = dy·[c], db = dy − da."""
    da = op.Mul(dy, as_float(op, operand(node, 0), dy))
    return [None, da, op.Sub(dy, da)]


@vjp("OneHot", since=11)
def one_hot(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value | None]:
    """y = on where hot, off elsewhere, values = [off, on]  ⟹  dvalues = [Σ dy − Σ dy·[hot], Σ dy·[hot]]."""
    mask = op.constant(np.array([0.0, 1.0]), like=dy)
    hot = op.OneHot(node.inputs[0], node.inputs[1], mask, axis=attribute(node, "axis", -1))
    on = op.ReduceSum(op.Mul(dy, hot), keepdims=0)
    off = op.Sub(op.ReduceSum(dy, keepdims=0), on)
    return [None, None, op.Concat(op.Unsqueeze(off, [0]), op.Unsqueeze(on, [0]), axis=0)]


@vjp("Max", since=(8, 12, 13))
@vjp("Min", since=(8, 12, 13))
def extreme(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = max xᵢ  ⟹  dxᵢ = dy·[xᵢ = y] / #{j : xⱼ = y}: ties share evenly, as in ``torch.maximum``."""
    y = node.outputs[0]
    winners = [as_float(op, op.Equal(x, y), y) for x in node.inputs]
    share = op.Div(dy, op.Sum(*winners))
    return [op.Mul(winner, share) for winner in winners]
