"""Shapes and types of all values, inferred anew whenever the graph's inputs have changed."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.emit import static_shape

_NO_SHAPE = 1 << 13
"""Bytes; a larger constant is no shape, axes or scales that the shape of another value depends on."""


def forget(graph: ir.Graph) -> None:
    """Drop what is recorded of intermediate values: it holds the old batch, size or precision."""
    for node in graph:
        for value in node.outputs:
            value.shape = None
            value.type = None
    for value in graph.initializers.values():
        if value.const_value is not None:
            value.shape = ir.Shape(value.const_value.numpy().shape)


def infer(model: ir.Model, *, partly: bool = False) -> ir.Model:
    """Type and shape all values of ``model``, ``partly``: as far as can be; return it. Raises ModelError."""
    proto = _without_weights(model)
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=not partly, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(
            f"the model's shapes do not fit together ({error})",
            hint="if it was exported for one batch or size only, export it with a dynamic batch",
        ) from error
    found = ir.serde.deserialize_model(inferred)
    for node, typed in zip(model.graph.all_nodes(), found.graph.all_nodes(), strict=True):
        for value, known in zip(node.outputs, typed.outputs, strict=True):
            value.shape, value.type = known.shape, known.type
    # An output that a node leaves out (an LSTM's Y, say) has no name, and no shape either.
    unknown = [
        value.name for node in model.graph for value in node.outputs if value.name and value.shape is None
    ]
    if unknown and not partly:
        raise ModelError(f"the shape of {unknown[0]} could not be inferred", hint="export with fixed shapes")
    return model


def _without_weights(model: ir.Model) -> onnx.ModelProto:
    """Return the model with its weights as inputs: inference needs their shapes, and would copy the rest."""
    graph = model.graph
    constants = [(value, value.const_value) for value in graph.initializers.values()]
    weights = [value for value, array in constants if array is not None and array.nbytes > _NO_SHAPE]
    for value in weights:
        graph.initializers.pop(value.name or "")
        graph.inputs.append(value)
    proto = ir.serde.serialize_model(model)
    for value in weights:
        graph.inputs.pop()
        graph.register_initializer(value)
    return proto


def require_fixed_shapes(graph: ir.Graph) -> None:
    """Refuse a dimension that is still unknown though the image has its size. Raises ModelError."""
    for node in graph:
        for value in node.outputs:
            if value.name and None in static_shape(value):
                raise ModelError(
                    f"the shape {value.shape} of {value.name} depends on what the image shows",
                    where=f"node {node.name!r}, operator {node.op_type}",
                    hint="choose an output in front of it with `output_name`",
                )
