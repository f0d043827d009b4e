"""Compute in float32 what a model computes in float16, bfloat16 or float64; or in float64, to verify it.

Weights are cast, which is exact for the two halves, and casts between them and float32 become empty. A
gradient in half precision loses small values to underflow, so the explanation is computed in float32 even
where the model is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

OTHER = (ir.DataType.BFLOAT16, ir.DataType.FLOAT16, ir.DataType.DOUBLE)
"""From the least exact to the most."""
_TYPE_ATTRIBUTES = {"to", "dtype", "output_dtype", "stash_type", "softmax_precision"}


def to_float32(graph: ir.Graph) -> ir.DataType:
    """Make every other floating-point type in ``graph`` float32; return the least exact that there was.

    Types of intermediate values are stale afterwards.
    """
    found = convert(graph, OTHER, ir.DataType.FLOAT)
    return next((other for other in OTHER if other in found), ir.DataType.FLOAT)


def convert(graph: ir.Graph, types: Container[ir.DataType], to: ir.DataType) -> set[ir.DataType]:
    """Make constants and attributes of any of ``types`` into those of another; return which there were."""
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
