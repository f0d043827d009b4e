"""Compute in float32 what a model computes in float16, bfloat16 or float64.

Weights are cast, which is exact for the two halves, and casts between them and float32 become empty. A
gradient in half precision loses small values to underflow, so the explanation is computed in float32 even
where the model is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = (ir.DataType.BFLOAT16, ir.DataType.FLOAT16, ir.DataType.DOUBLE)
"""From the least exact to the most."""
_TYPE_ATTRIBUTES = {"to", "dtype", "output_dtype", "stash_type", "softmax_precision"}


def to_float32(graph: ir.Graph) -> ir.DataType:
    """Make every other floating-point type in ``graph`` float32; return the least exact that there was.

    Types of intermediate values are stale afterwards.
    """
    found: set[ir.DataType] = set()
    for value in _initializers(graph):
        tensor = value.const_value
        if tensor is not None and tensor.dtype in OTHER:
            found.add(tensor.dtype)
            value.const_value = _float32(tensor)
            value.dtype = ir.DataType.FLOAT
    for node in ir.traversal.RecursiveGraphIterator(graph):
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in OTHER:
                found.add(attribute.as_tensor().dtype)
                node.attributes[name] = ir.AttrTensor(name, _float32(attribute.as_tensor()))
            elif name in _TYPE_ATTRIBUTES and attribute.value in OTHER:
                found.add(ir.DataType(attribute.value))
                node.attributes[name] = ir.AttrInt64(name, ir.DataType.FLOAT)
    return next((other for other in OTHER if other in found), ir.DataType.FLOAT)


def _float32(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float32), name=tensor.name)


def _initializers(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.initializers.values()
    for node in ir.traversal.RecursiveGraphIterator(graph):
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from attribute.as_graph().initializers.values()
