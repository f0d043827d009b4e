"""Operators that an ONNX model left in training mode: its answers depend on chance or on other images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterator


def training_notes(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return a warning for each Dropout that drops at run time; the canonical form leaves it out."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            constants[node.output[0]] = node.attribute[0].t
    return tuple(
        f"WARNING: Dropout {node.name or node.output[0]!r} is in training mode: the model answers the same "
        "image differently each time, and the bundle is of the model without it (export after model.eval())"
        for node in nodes(model.graph)
        if node.op_type == "Dropout" and _drops(node, constants)
    )


def batch_statistics(model: onnx.ModelProto) -> str | None:
    """Return the name of the first BatchNormalization that takes its statistics from the batch, or None."""
    for node in nodes(model.graph):
        training = any(each.name == "training_mode" and each.i for each in node.attribute)
        if node.op_type == "BatchNormalization" and training:
            return node.name or str(node.output[0])
    return None


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield each node, nested graphs included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for subgraph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from nodes(subgraph)


def _drops(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether a Dropout (of opset 12 or later) has training_mode true and a ratio above zero."""
    mode = constants.get(node.input[2]) if len(node.input) > 2 else None
    if mode is None or not numpy_helper.to_array(mode).all():
        return False
    ratio = constants.get(node.input[1])
    return ratio is None or bool((numpy_helper.to_array(ratio) > 0).all())
