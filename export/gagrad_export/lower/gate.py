"""The gradient through a clipped identity (ReLU, Clip): the cotangent where y is strictly between its bounds.

Before: ``Gate(dy, y; lower, upper)``; a missing bound does not limit y.

After: ``HardSigmoid(y; 2¹⁰⁰, −2¹⁰⁰·lower) · HardSigmoid(y; −2¹⁰⁰, 2¹⁰⁰·upper) · dy``.

HardSigmoid is clip(αy + β, 0, 1). Scaling by a power of two is exact, so αy + β is exactly 0 at the bound. At
the next float32 number inside the bound it is at least 1, as long as the step between the two is 2⁻¹⁰⁰ or
more. So HardSigmoid is a step function from 0 to 1. ONNX Runtime keeps HardSigmoid and Mul in the blocked
layout of the surrounding convolutions; a comparison and a Cast would make ONNX Runtime reorder the tensor
twice. TensorRT fuses both forms. The mask is a comparison for TensorRT, for a bound of 2²⁷ or more (2¹⁰⁰
times that overflows) and for float16 (which cannot hold 2¹⁰⁰).
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
"""Number written for an attribute β = 0: OpenVINO reads 0 as a missing attribute and takes the default, ½.

The number is too small to change the step function: αy is 0, or at least 2⁻⁴⁹ in magnitude.
"""
_LARGEST = 2.0**27


def lower_gate(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered Gate ``node``: ``dy`` times step functions of y."""
    y = operand(node, 1)
    bounds = _bounds(node)
    if y.dtype == ir.DataType.FLOAT16 or any(abs(bound) >= _LARGEST for bound, _ in bounds):
        return lower_gate_by_comparison(op, node)
    masks = [
        op.HardSigmoid(y, alpha=sign * STEEP, beta=-sign * STEEP * bound or ZERO) for bound, sign in bounds
    ]
    # The masks are multiplied first: if dy is in another layout, one tensor is reordered and not two.
    return reduce(op.Mul, [*masks, operand(node, 0)])


def lower_gate_by_comparison(op: Op, node: ir.Node) -> ir.Value:
    """Return ``dy · [lower < y < upper]`` with the mask from comparisons, which compilers fuse."""
    dy, y = operand(node, 0), operand(node, 1)
    inside = [op.Greater(y, bound) if sign > 0 else op.Less(y, bound) for bound, sign in _bounds(node)]
    return op.Mul(dy, op.CastLike(reduce(op.And, inside), y)) if inside else dy


def _bounds(node: ir.Node) -> list[tuple[float, float]]:
    """Return (bound, sign of y − bound inside the bound) for each bound that is given."""
    both = ((attribute(node, "lower"), 1.0), (attribute(node, "upper"), -1.0))
    return [(bound, sign) for bound, sign in both if bound is not None]
