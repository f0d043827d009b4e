"""Replace operators one by one, with what a function writes for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.emit import Op

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def replace_each(
    graph: ir.Graph, op_types: Collection[str], rewrite: Callable[[Op, ir.Node], ir.Value]
) -> None:
    """Put ``rewrite(op, node)`` in the place of the first output of each standard node of ``op_types``.

    The graph's values are typed and shaped, and so is what is written.
    """
    for node in [node for node in graph if node.domain == "" and node.op_type in op_types]:
        old = node.outputs[0]
        # Names of values are unique, those of nodes need not be.
        new = rewrite(Op(graph, f"{old.name}/{node.op_type}"), node)
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        new.name = old.name
        graph.remove(node, safe=True)
    graph.sort()


def not_rewritten(node: ir.Node, why: str) -> UnsupportedOperatorError:
    """Return the error for a form of an operator that has no other."""
    return UnsupportedOperatorError(
        f"operator {node.op_type} is not supported here: {why}",
        where=f"node {node.name!r}",
        hint="explain an output in front of it with --output-name NAME",
    )
