"""Operators that ONNX defines by others, as their definition has it.

Before: ``Attention(q, k, v)``. After: the body of the function that ONNX's schema gives for these inputs and
attributes. Most of the body computes shapes, and folds away.
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.rewrite.writing import standard_nodes
from gagrad_export.emit import type_proto


class ExpandFunctions(Pass):
    """Replaces each of ``operators`` whose inputs are typed by the body of its definition."""

    operators = ("Attention", "CenterCropPad", "RotaryEmbedding")
    needs = Known.SOME

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Make a call of each node, and inline the calls."""
        opset = model.graph.opset_imports[""]
        modified = False
        for serial, node in enumerate(standard_nodes(model.graph, self.operators)):
            if all(value is None or value.type is not None for value in node.inputs):
                function = _definition(node, opset, f"{node.op_type}_{serial}")
                model.functions[function.identifier()] = function
                node.domain, node.op_type = function.domain, function.name
                modified = True
        if modified:
            passes.InlinePass()(model)
        return ir.passes.PassResult(model, modified)


def _definition(node: ir.Node, opset: int, name: str) -> ir.Function:
    """Return ONNX's definition of ``node`` as a function of the graph's opset."""
    schema: Any = onnx.defs.get_schema(node.op_type, opset)  # onnx's stub lacks a method
    types = [b"" if value is None else type_proto(value).SerializeToString() for value in node.inputs]
    body = schema.get_context_dependent_function(ir.serde.serialize_node(node).SerializeToString(), types)
    proto = onnx.FunctionProto.FromString(body)
    proto.domain, proto.name = "gagrad.defined", name
    # The definition holds for later opsets, too, until the operator gets a new version.
    proto.opset_import[0].version = opset
    # The definition lists outputs that the node does not ask for, and does not compute them: any other output
    # stands in.
    computed = {name for inner in proto.node for name in inner.output}
    outputs = [name if name in computed else proto.output[0] for name in proto.output[: len(node.outputs)]]
    del proto.output[:]
    proto.output.extend(outputs)
    return ir.serde.deserialize_function(proto)
