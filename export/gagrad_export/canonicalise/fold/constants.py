"""Contents of a value that is computed from constants alone, whatever its size.

Folding by onnxscript leaves large tensors and the nodes of quantisation as they are; a pass that has to know
their contents evaluates them here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_NODES = 100
"""A constant is a few nodes away from other constants; behind more nodes lies the image."""


def evaluated(value: ir.Value | None, opset: int) -> NDArray[Any] | None:
    """Return the contents of ``value``; None where it is omitted or depends on more than constants."""
    if value is None:
        return None
    nodes: list[ir.Node] = []
    known: dict[str, ir.TensorProtocol] = {}
    wanted = [value]
    while wanted:
        current = wanted.pop()
        tensor, producer = ir.convenience.get_const_tensor(current), current.producer()
        if tensor is not None:
            known[current.name or ""] = tensor
        elif producer is None or not _is_evaluable(producer) or len(nodes) >= _MOST_NODES:
            return None
        elif producer not in nodes:
            nodes.append(producer)
            wanted += [item for item in producer.inputs if item is not None]
    if value.name in known:
        return known[value.name].numpy()
    # Only now: most values end at the image, behind weights that take long to copy.
    constants = [ir.serde.serialize_tensor(tensor) for tensor in known.values()]
    for constant, name in zip(constants, known, strict=True):
        constant.name = name
    program = onnx.helper.make_graph(
        [ir.serde.serialize_node(node) for node in _sorted(nodes)],
        "constant",
        [],
        [onnx.helper.make_empty_tensor_value_info(value.name or "")],
        constants,
    )
    model = onnx.helper.make_model(program, opset_imports=[onnx.helper.make_opsetid("", opset)])
    result: Any = ReferenceEvaluator(model).run(None, {})
    array: NDArray[Any] = result[0]
    return array


def _is_evaluable(node: ir.Node) -> bool:
    graphs = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    plain = not any(attr.type in graphs for attr in node.attributes.values())
    return node.domain == "" and plain and "Random" not in node.op_type and bool(node.inputs)


def _sorted(nodes: list[ir.Node]) -> list[ir.Node]:
    """Return ``nodes`` with each behind those it reads."""
    ordered: list[ir.Node] = []

    def visit(node: ir.Node) -> None:
        if node in ordered:
            return
        for value in node.inputs:
            producer = None if value is None else value.producer()
            if producer in nodes:
                visit(producer)
        ordered.append(node)

    for node in nodes:
        visit(node)
    return ordered
