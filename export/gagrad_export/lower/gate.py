"""The gradient through a clipped identity (ReLU, Clip): the cotangent where y is strictly between its bounds.

Before: ``Gate(dy, y; lower, upper)``, a bound that is absent does not limit.

After: ``HardSigmoid(y; 2¹⁰⁰, −2¹⁰⁰·lower) · HardSigmoid(y; −2¹⁰⁰, 2¹⁰⁰·upper) · dy``.

HardSigmoid is clip(αy + β, 0, 1). Scaling by a power of two is exact, so αy + β is exactly 0 at the bound,
and at the next float32 inside it is at least 1 as long as the step there is 2⁻¹⁰⁰ or more: a step function
from 0 to 1. ONNX Runtime keeps HardSigmoid and Mul in the blocked layout of the convolutions around them,
where a comparison and a Cast make it reorder the tensor twice. TensorRT fuses either. A bound of 2²⁷ or
more would overflow, and float16 cannot hold 2¹⁰⁰: there, and for TensorRT, the mask is a comparison.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from gagrad_export.emit import Op

STEEP = 2.0**100
ZERO = -(2.0**-126)
"""What an attribute of 0 is written as: OpenVINO takes 0 for absent, hence for the default, ½ for β.

So small and below 0 that it changes no step: αy is 0, or 2⁻⁴⁹ and more.
"""
_LARGEST = 2.0**27


def lower_gate(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered gate."""
    y = operand(node, 1)
    bounds = _bounds(node)
    if y.dtype == ir.DataType.FLOAT16 or any(abs(bound) >= _LARGEST for bound, _ in bounds):
        return lower_gate_by_comparison(op, node)
    masks = [
        op.HardSigmoid(y, alpha=sign * STEEP, beta=-sign * STEEP * bound or ZERO) for bound, sign in bounds
    ]
    # The masks meet first: where dy is in another layout, one tensor is reordered and not two.
    return reduce(op.Mul, [*masks, operand(node, 0)])


def lower_gate_by_comparison(op: Op, node: ir.Node) -> ir.Value:
    """Return ``dy · [lower < y < upper]`` with the mask from comparisons: for compilers, which fuse them."""
    dy, y = operand(node, 0), operand(node, 1)
    inside = [op.Greater(y, bound) if sign > 0 else op.Less(y, bound) for bound, sign in _bounds(node)]
    return op.Mul(dy, op.CastLike(reduce(op.And, inside), y)) if inside else dy


def _bounds(node: ir.Node) -> list[tuple[float, float]]:
    """Return the bounds that limit, each with the sign of y − bound inside."""
    both = ((attribute(node, "lower"), 1.0), (attribute(node, "upper"), -1.0))
    return [(bound, sign) for bound, sign in both if bound is not None]
