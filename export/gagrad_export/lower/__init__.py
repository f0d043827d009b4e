"""Lowering: internal operators become standard ones, in the form that inference engines run fast.

One operator a file, with before → after and the algebra in the docstring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.emit import INTERNAL
from gagrad_export.lower.convolution import lower_convolution
from gagrad_export.lower.gate import lower_gate
from gagrad_export.lower.max_pool import lower_max_pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_export.emit import Op

_LOWERINGS: dict[str, Callable[[Op, ir.Node], ir.Value]] = {
    "ConvInputGradient": lower_convolution,
    "Gate": lower_gate,
    "MaxPoolInputGradient": lower_max_pool,
}


def lower(op: Op) -> dict[str, int]:
    """Replace every internal operator in the graph; return how many there were of each.

    A lowering may emit internal operators itself; they come later in the graph and are lowered in turn.
    Replacements are appended at the end, so the graph has to be sorted afterwards.
    """
    counts: dict[str, int] = {}
    for node in op.graph:
        if node.domain != INTERNAL:
            continue
        replacement = _LOWERINGS[node.op_type](op, node)
        ir.convenience.replace_all_uses_with(node.outputs[0], replacement, replace_graph_outputs=True)
        op.graph.remove(node, safe=True)
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return counts
