"""Quantised operators that have no float form, refused by name.

Before: any model. After: the same model, without operators on integers that ``quantisation`` cannot rewrite.
"""

from __future__ import annotations

import onnx_ir as ir

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.rewrite.quantisation import refusal


class RefuseIntegers(Pass):
    """Raises UnsupportedOperatorError for operators that compute with integers; changes nothing."""

    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at every node."""
        for node in model.graph:
            foreign = node.domain == "com.microsoft" and ("Q" in node.op_type or "Integer" in node.op_type)
            if foreign or node.op_type in ("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"):
                raise refusal(node, "it computes with integers in a way that has no known derivative")
        return ir.passes.PassResult(model, modified=False)
