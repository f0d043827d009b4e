"""The gradient through a clipped identity (ReLU, Clip): the cotangent where y is strictly between its bounds.

Before: ``Gate(dy, y; lower, upper)``, a bound that is absent does not limit.

After: ``HardSigmoid(y; 2¹⁰⁰, −2¹⁰⁰·lower) · HardSigmoid(y; −2¹⁰⁰, 2¹⁰⁰·upper) · dy``.

HardSigmoid is clip(αy + β, 0, 1). Scaling by a power of two is exact, so αy + β is exactly 0 at the bound,
and at the next float32 inside it is at least 1 as long as the step there is 2⁻¹⁰⁰ or more: a step function
from 0 to 1. ONNX Runtime keeps HardSigmoid and Mul in the blocked layout of the convolutions around them,
where a comparison and a Cast make it reorder the tensor twice. TensorRT fuses either. A bound of 2²⁷ or
more would overflow, and float16 cannot hold 2¹⁰⁰: there the mask is a comparison.
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
    dy, y = operand(node, 0), operand(node, 1)
    masks = []
    for name, sign in (("lower", 1.0), ("upper", -1.0)):
        bound = attribute(node, name)
        if bound is None:
            continue
        if y.dtype == ir.DataType.FLOAT16 or abs(bound) >= _LARGEST:
            inside = op.Greater(y, bound) if sign > 0 else op.Less(y, bound)
            masks.append(op.CastLike(inside, y))
        else:
            masks.append(op.HardSigmoid(y, alpha=sign * STEEP, beta=-sign * STEEP * bound or ZERO))
    # The masks meet first: where dy is in another layout, one tensor is reordered and not two.
    return reduce(op.Mul, [*masks, dy])
