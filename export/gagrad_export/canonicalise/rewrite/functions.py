"""Operators that ONNX itself defines by others, as their definition has it.

Before: ``Attention(q, k, v)``. After: the body of the function that ONNX's schema gives for these inputs and
attributes. Most of it computes shapes, and folds away.
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_export.emit import type_proto

OPERATORS = ("Attention", "CenterCropPad", "RotaryEmbedding")


def has_functions(graph: ir.Graph) -> bool:
    """Tell whether the graph has one of OPERATORS."""
    return any(node.domain == "" and node.op_type in OPERATORS for node in graph)


def expand_functions(model: ir.Model) -> None:
    """Replace every one of OPERATORS whose inputs are typed."""
    graph = model.graph
    for serial, node in enumerate(graph):
        typed = all(value is None or value.type is not None for value in node.inputs)
        if node.domain == "" and node.op_type in OPERATORS and typed:
            function = _definition(node, graph.opset_imports[""], f"{node.op_type}_{serial}")
            model.functions[function.identifier()] = function
            node.domain, node.op_type = function.domain, function.name
    passes.InlinePass()(model)


def _definition(node: ir.Node, opset: int, name: str) -> ir.Function:
    """Return ONNX's definition of ``node`` as a function of the graph's opset."""
    schema: Any = onnx.defs.get_schema(node.op_type, opset)  # onnx's stub lacks a method
    types = [b"" if value is None else type_proto(value).SerializeToString() for value in node.inputs]
    body = schema.get_context_dependent_function(ir.serde.serialize_node(node).SerializeToString(), types)
    proto = onnx.FunctionProto.FromString(body)
    proto.domain, proto.name = "gagrad.defined", name
    # The definition holds for later opsets, too, until the operator gets a new version.
    proto.opset_import[0].version = opset
    # It lists outputs that it does not compute, as the node does not ask for them: any other stands in.
    computed = {name for inner in proto.node for name in inner.output}
    outputs = [name if name in computed else proto.output[0] for name in proto.output[: len(node.outputs)]]
    del proto.output[:]
    proto.output.extend(outputs)
    return ir.serde.deserialize_function(proto)
