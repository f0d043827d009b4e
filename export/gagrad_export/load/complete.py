"""Check that a model provides every value that its nodes read.

torch 2.13 writes models that lack some: its optimiser names a constant after the value that the constant is
combined with, and where two constants get the same name, it keeps only one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx


def check_complete(model: onnx.ModelProto, where: str) -> None:
    """Raise ModelError if a node reads a value that is no input, no weight and no output of another node."""
    missing = list(missing_values(model))
    if missing:
        node, value = missing[0]
        others = f", and {len(missing) - 1} more like it" if len(missing) > 1 else ""
        raise ModelError(
            f"{node.op_type} node {node.name!r} reads {value!r}, which nothing in the model provides{others}",
            where=where,
            hint="export the model again; torch.onnx.export(..., optimize=False) keeps the constants that "
            "torch's own optimiser can lose",
        )


def missing_values(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Yield each node of ``model``, nested graphs included, with each name it reads that nothing provides."""
    yield from _missing(model.graph, frozenset())


def _missing(graph: onnx.GraphProto, outer: frozenset[str]) -> Iterator[tuple[onnx.NodeProto, str]]:
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    known |= {tensor.values.name for tensor in graph.sparse_initializer}
    known |= {name for node in graph.node for name in node.output}
    here = outer | known
    for node in graph.node:
        yield from ((node, name) for name in node.input if name and name not in here)
        for attribute in node.attribute:
            for subgraph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _missing(subgraph, here)
