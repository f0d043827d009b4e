"""Drop arithmetic with constants that changes nothing.

Before: ``x + 0``, ``x − 0``, ``x · 1``, ``x / 1``, and ``Where`` with a condition that is the same
everywhere. After: x, where it has the shape of the result. Definitions of operators and tracers leave such
nodes behind, some on the largest tensors of a network: ONNX's Attention adds a mask of zeros, and selects by
one that is false everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.emit import operand

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}


def drop_neutral(graph: ir.Graph) -> None:
    """Take every such node out of the graph, whose values have types and shapes."""
    opset = graph.opset_imports[""]
    for node in [node for node in graph if node.domain == "" and not node.outputs[0].is_graph_output()]:
        y = node.outputs[0]
        for x in _equals(node, opset):
            if (x.shape, x.dtype) == (y.shape, y.dtype):
                ir.convenience.replace_all_uses_with(y, x)
                graph.remove(node, safe=True)
                break


def _equals(node: ir.Node, opset: int) -> Iterator[ir.Value]:
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
