"""Drop arithmetic with constants that changes nothing.

Before: ``x + 0``, ``x − 0``, ``x · 1``, ``x / 1``, and ``Where`` with a condition that is the same
everywhere. After: x, where x has the shape of the result. Tracers and the definitions of operators leave such
nodes behind, some on the largest tensors of a network: ONNX's Attention adds a mask of zeros, and selects by
a mask that is false everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.canonicalise.rewrite.writing import standard_nodes
from gagrad_export.emit import operand

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}


class DropNeutral(Pass):
    """Takes arithmetic that changes nothing out of the graph."""

    needs = Known.ALL
    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Let the operand that a node's output equals take its place."""
        graph, modified = model.graph, False
        for node in standard_nodes(graph, (*_NEUTRAL, "Where")):
            y = node.outputs[0]
            operands = _equal_operands(node, graph.opset_imports[""])
            x = next((x for x in operands if (x.shape, x.dtype) == (y.shape, y.dtype)), None)
            if x is not None and not y.is_graph_output():
                ir.convenience.replace_all_uses_with(y, x)
                graph.remove(node, safe=True)
                modified = True
        return ir.passes.PassResult(model, modified)


def _equal_operands(node: ir.Node, opset: int) -> Iterator[ir.Value]:
    """Yield each operand that the output equals, but for broadcasting."""
    if node.op_type in _NEUTRAL:
        one, two = operand(node, 0), operand(node, 1)
        for kept, other in [(one, two)] if node.op_type in ("Sub", "Div") else [(one, two), (two, one)]:
            array = evaluated(other, opset)
            if array is not None and (array == _NEUTRAL[node.op_type]).all():
                yield kept
    elif node.op_type == "Where":
        array = evaluated(operand(node, 0), opset)
        if array is not None and array.all() == array.any():
            yield operand(node, 1 if array.all() else 2)
