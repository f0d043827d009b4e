"""float32 in place of float16, bfloat16 and float64; or, to verify a graph, float64 in place of float32.

Weights are cast, which is exact for the two halves, and the model's own casts become casts to the same type.
A gradient in half precision loses small values to underflow, so the explanation is computed in float32 even
where the model is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import findings_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

OTHER = (ir.DataType.BFLOAT16, ir.DataType.FLOAT16, ir.DataType.DOUBLE)
"""From the least exact to the most."""
_TYPE_ATTRIBUTES = {"to", "dtype", "output_dtype", "stash_type", "softmax_precision"}


class ToFloat32(Pass):
    """Makes every other floating-point type float32, and records the least exact that there was."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Convert constants and the types that attributes name."""
        found = convert(model.graph, OTHER, ir.DataType.FLOAT)
        least_exact = next((other for other in OTHER if other in found), ir.DataType.FLOAT)
        findings_of(model).precision = least_exact
        return ir.passes.PassResult(model, bool(found))


def convert(graph: ir.Graph, types: Container[ir.DataType], to: ir.DataType) -> set[ir.DataType]:
    """Convert constants and attributes of any of ``types`` to the type ``to``; return the types found."""
    found: set[ir.DataType] = set()
    for value in _initializers(graph):
        tensor = value.const_value
        if tensor is not None and tensor.dtype in types:
            found.add(tensor.dtype)
            value.const_value = _cast(tensor, to)
            value.dtype = to
    for node in ir.traversal.RecursiveGraphIterator(graph):
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in types:
                found.add(attribute.as_tensor().dtype)
                node.attributes[name] = ir.AttrTensor(name, _cast(attribute.as_tensor(), to))
            elif name in _TYPE_ATTRIBUTES and attribute.value in types:
                found.add(ir.DataType(attribute.value))
                node.attributes[name] = ir.AttrInt64(name, to)
    return found


def _cast(tensor: ir.TensorProtocol, to: ir.DataType) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(to.numpy()), name=tensor.name)


def _initializers(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.initializers.values()
    for node in ir.traversal.RecursiveGraphIterator(graph):
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from attribute.as_graph().initializers.values()
