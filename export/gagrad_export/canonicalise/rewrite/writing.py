"""The way in which passes write nodes: by ``emit.Op``, in front of the node whose place they take."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.emit import Op

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Rewriting(Pass):
    """Writes other nodes in the place of single nodes: by default, of each node of ``operators``."""

    needs = Known.FIXED
    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the nodes one by one."""
        modified = False
        for node in self.nodes(model.graph):
            results = self.rewritten(op_before(node, infer=self.needs >= Known.ALL), node)
            if results is not None:
                replace_node(node, results)
                modified = True
        return ir.passes.PassResult(model, modified)

    def nodes(self, graph: ir.Graph) -> list[ir.Node]:
        """Return the nodes to look at: all of ``operators``, unless some of these operators stay."""
        return standard_nodes(graph, self.operators)

    @abstractmethod
    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value] | None:
        """Write the nodes by ``op`` and return what takes the place of the outputs of ``node``.

        None, before anything is written, where ``node`` is to stay. The results are outputs of new nodes.
        """


def standard_nodes(graph: ir.Graph, operators: Collection[str]) -> list[ir.Node]:
    """Return the nodes of ``graph`` whose operator is one of these of ONNX's default domain."""
    return [node for node in graph if node.domain == "" and node.op_type in operators]


def rows_of(graph: ir.Graph) -> int:
    """Return the number of rows in the fixed batch: the extent of the image's first axis."""
    shape = graph.inputs[0].shape if graph.inputs else None
    return shape[0] if shape is not None and len(shape) and isinstance(shape[0], int) else 1


def op_before(node: ir.Node, *, infer: bool = True) -> Op:
    """Return the writer of nodes in front of ``node``; ``infer=False`` where types are not known yet."""
    assert node.graph is not None  # noqa: S101 - passes work on nodes of the main graph
    # Names of values are unique; those of nodes need not be.
    name = next((value.name for value in node.outputs if value.name), node.op_type)
    return Op(node.graph, f"{name}/{node.op_type}", before=node, infer=infer)


def replace_node(node: ir.Node, results: Sequence[ir.Value]) -> None:
    """Let ``results`` take the place and the names of the outputs of ``node``, and remove the node.

    Each is the output of a new node: for anything else, a constant or an input, write an Identity.
    """
    # A node need not list its last outputs.
    for old, new in zip(node.outputs, results, strict=False):
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        new.name = old.name or new.name
    assert node.graph is not None  # noqa: S101
    node.graph.remove(node, safe=True)


def not_rewritten(node: ir.Node, why: str) -> UnsupportedOperatorError:
    """Return the error for a form of an operator that cannot be rewritten."""
    return UnsupportedOperatorError(
        f"operator {node.op_type} is not supported here: {why}",
        where=f"node {node.name!r}",
        hint="explain an output in front of it with `output_name`",
    )
