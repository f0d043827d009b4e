"""The form in which rules and ``lower`` take quantisation: QuantizeLinear that feeds DequantizeLinear alone.

Before: any typed graph. After: the same graph, in which scales and zero points are constant and equal in both
operators of a pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known, findings_of
from gagrad_export.canonicalise.rewrite.quantisation import optional_input, refusal
from gagrad_export.emit import constant_array, operand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class RequireQuantiserPairs(Pass):
    """Counts the pairs, and raises UnsupportedOperatorError for anything else; changes nothing."""

    needs = Known.FIXED
    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Record the number of pairs in the findings."""
        count = 0
        for node in model.graph:
            if node.op_type == "DequantizeLinear":
                _require_pair(node)
            if node.op_type == "QuantizeLinear":
                _require_fixed_steps(node)
                count += 1
        findings_of(model).straight_through = count
        return ir.passes.PassResult(model, modified=False)


def _require_pair(node: ir.Node) -> None:
    source = operand(node, 0).producer()
    if source is None or source.op_type != "QuantizeLinear":
        raise refusal(node, "what it reads is not made by QuantizeLinear")
    ours, theirs = _steps(node), _steps(source)
    if any(not np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True)):
        raise refusal(node, "its scale or zero point is not that of the QuantizeLinear before it")


def _require_fixed_steps(node: ir.Node) -> None:
    q = node.outputs[0]
    readers = {use.node.op_type for use in q.uses()} - {"DequantizeLinear"}
    if readers or q.is_graph_output():
        raise refusal(node, f"its integers are read by {', '.join(sorted(readers)) or 'the output'}")
    _steps(node)
    if q.dtype is None or not q.dtype.is_integer():
        raise refusal(node, f"{q.dtype} does not have steps of one size")


def _steps(node: ir.Node) -> tuple[Array, Array]:
    """Return the scale and the zero point of a node of a pair."""
    scale, zero = constant_array(node.inputs[1]), constant_array(optional_input(node, 2))
    if scale is None or (zero is None and optional_input(node, 2) is not None):
        raise refusal(node, "its scale or zero point is computed")
    return scale.ravel(), np.zeros(scale.size) if zero is None else zero.ravel()
