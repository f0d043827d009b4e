"""GroupNormalization as InstanceNormalization of its groups, which is what PyTorch exports too.

Before: ``GroupNormalization(x, γ, β)``. After: ``Reshape(x, [0, groups, −1])``, InstanceNormalization and
``Reshape`` to the shape of x. Version 18 has a γ and a β for each group, as InstanceNormalization itself has.
From version 21 there is a γ and a β for each channel: a Mul and an Add follow, on ``[0, channels, −1]``.

Because: onnx infers no shape for GroupNormalization, its checker refuses version 18 as deprecated, and
ONNX Runtime has no CPU kernel for it and would expand it to a dozen nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.rewrite.writing import Rewriting
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_export.emit import Op


class ReplaceGroupNormalisation(Rewriting):
    """Rewrites every GroupNormalization, before shapes are inferred: onnx infers none behind it."""

    operators = ("GroupNormalization",)
    needs = Known.NOTHING
    keeps_shapes = False

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value]:
        """Return y, which has the shape of x."""
        return [_instance_normalisation(op, node, per_channel=op.opset >= 21)]


def _instance_normalisation(op: Op, node: ir.Node, *, per_channel: bool) -> ir.Value:
    x, gamma, beta = (operand(node, i) for i in range(3))
    groups = attribute(node, "num_groups")
    grouped = op.Reshape(x, [0, groups, -1])
    dtype = (gamma.dtype or ir.DataType.FLOAT).numpy()
    scale, shift = gamma, beta
    if per_channel:
        scale, shift = op.constant(np.ones(groups, dtype)), op.constant(np.zeros(groups, dtype))
    y = op.InstanceNormalization(grouped, scale, shift, epsilon=attribute(node, "epsilon", 1e-5))
    if per_channel:
        shape = op.Concat([0], op.Shape(gamma), [-1], axis=0)
        y = op.Mul(op.Reshape(y, shape), op.Reshape(gamma, [-1, 1]))
        y = op.Add(y, op.Reshape(beta, [-1, 1]))
    return op.Reshape(y, op.Shape(x))
