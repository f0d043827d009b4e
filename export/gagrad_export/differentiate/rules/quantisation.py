"""Quantisation: the gradient passes straight through, as if values were clipped but not rounded.

A quantised model is a staircase; its derivative is zero wherever it exists and explains nothing. Such models
are trained with the straight-through estimator (Bengio et al. 2013, arXiv 1308.3432), and these rules use it.

The cotangent of a quantised tensor q is kept as the cotangent of the real number (q − z)·s that q stands
for: the factors s and 1/s of the two rules cancel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import as_float, operand
from gagrad_export.quantiser import quantiser

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op

_VERSIONS = (10, 13, 19, 21, 23, 24, 25)


@vjp("QuantizeLinear", since=_VERSIONS, elementwise=True, limits="in pairs of one constant scale")
def quantize(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """q = clip(round(x/s) + z, min, max)  ⟹  dx = dq·[(min − z)·s ≤ x ≤ (max − z)·s], as if not rounded.

    Both ends are included. So a second quantiser in a row, whose largest inputs lie exactly at its end, does
    not stop the gradient.
    """
    x, known = operand(node, 0), quantiser(node)
    above = op.GreaterOrEqual(x, known.scale * known.lowest)
    below = op.LessOrEqual(x, known.scale * known.highest)
    return op.Mul(dy, as_float(op, op.And(above, below), x))


@vjp("DequantizeLinear", since=_VERSIONS, elementwise=True, limits="in pairs of one constant scale")
def dequantize(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = (q − z)·s  ⟹  dq = dy, the cotangent of the real number that q stands for."""
    return dy
