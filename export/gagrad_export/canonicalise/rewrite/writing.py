"""Replace operators one by one, with what a function writes for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.emit import Op

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray


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
        hint="explain an output in front of it with `output_name`",
    )


class Site:
    """Writes nodes in front of ``node``; types and shapes need not be known yet.

    ``kind`` becomes part of the names of what is written.
    """

    def __init__(self, graph: ir.Graph, node: ir.Node, kind: str) -> None:
        self.graph = graph
        self.node = node
        # Names of values are unique, those of nodes need not be.
        self._prefix = next(f"{value.name}/{kind}" for value in node.outputs if value.name)
        self._serial = 0

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return self.graph.opset_imports[""]

    def emit(
        self, op_type: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, Any] | None = None
    ) -> ir.Value:
        """Write a node of the standard domain and return its output."""
        return self.emit_many(op_type, inputs, attributes, 1)[0]

    def emit_many(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None,
        outputs: int,
    ) -> Sequence[ir.Value]:
        """Write a node of the standard domain and return its outputs."""
        name = self.name(op_type)
        node = ir.node(op_type, inputs, attributes, num_outputs=outputs, name=name)
        for index, value in enumerate(node.outputs):
            value.name = f"{name}:{index}"
        self.graph.insert_before(self.node, node)
        return node.outputs

    def constant(self, array: NDArray[Any]) -> ir.Value:
        """Return ``array`` as an initializer."""
        tensor = ir.tensor(array)
        value = ir.Value(
            name=self.name("constant"),
            shape=ir.Shape(array.shape),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.graph.register_initializer(value)
        return value

    def replace(self, results: Sequence[ir.Value]) -> list[ir.Value]:
        """Let ``results`` take the place of the node's outputs, and remove the node.

        Return what is read in their place: an identity of each, for a result may be a constant, an input, or
        two results at once.
        """
        placed = [self.emit("Identity", [value]) for value in results]
        # A node need not list its last outputs.
        for old, new in zip(self.node.outputs, placed, strict=False):
            ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
            new.name = old.name or new.name
        self.graph.remove(self.node, safe=True)
        return placed

    def name(self, kind: str) -> str:
        """Return a new name."""
        self._serial += 1
        return f"{self._prefix}/{kind}_{self._serial}"
