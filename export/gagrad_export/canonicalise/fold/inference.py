"""Types and shapes of all values: inferred where a pass needs them, invalidated where a pass changes them."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.findings import Known, findings_of
from gagrad_export.emit import static_shape

_NO_SHAPE = 1 << 13
"""Bytes; a larger constant is no shape, axes or scales that the shape of another value depends on."""


def supply_shapes(model: ir.Model, needs: Known) -> None:
    """Infer types and shapes unless ``needs`` is met already. Raises ModelError where it cannot be met."""
    known = findings_of(model).known
    if known >= needs:
        return
    if known is Known.NOTHING:
        # The shapes that a file states may be those of another batch or size.
        invalidate_shapes(model)
    infer_shapes(model, partly=needs is Known.SOME)
    if needs is Known.FIXED:
        require_fixed_shapes(model.graph)


def invalidate_shapes(model: ir.Model) -> None:
    """Drop types and shapes of intermediate values: they hold the old batch, size or precision."""
    graph = model.graph
    for node in graph:
        for value in node.outputs:
            value.shape = None
            value.type = None
    for value in graph.initializers.values():
        if value.const_value is not None:
            value.shape = ir.Shape(value.const_value.numpy().shape)
    findings_of(model).known = Known.NOTHING


def infer_shapes(model: ir.Model, *, partly: bool = False) -> None:
    """Infer types and shapes of all values; ``partly``, as far as possible. Raises ModelError."""
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
        # Last outputs that a node leaves out are not written to the proto.
        for value, known in zip(node.outputs, typed.outputs, strict=False):
            value.shape, value.type = known.shape, known.type
    # An output that a node leaves out (an LSTM's Y, say) has no name, and no shape either.
    unknown = [
        value.name for node in model.graph for value in node.outputs if value.name and value.shape is None
    ]
    if unknown and not partly:
        raise ModelError(f"the shape of {unknown[0]} could not be inferred", hint="export with fixed shapes")
    findings_of(model).known = Known.SOME if partly else measured(model.graph)


def measured(graph: ir.Graph) -> Known:
    """Return what the graph's values carry: FIXED, ALL, or NOTHING where a shape is missing."""
    level = Known.FIXED
    for node in graph:
        for value in node.outputs:
            if not value.name:
                continue
            if value.shape is None:
                return Known.NOTHING
            if not value.shape.is_static():
                level = Known.ALL
    return level


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
