"""Values that are joined from boxes, objectness and classes: ``Concat`` of 4, 1 and K columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from gagrad_export.emit import attribute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gagrad_export.arrange.seen import Seen

_MOVING = ("Concat", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")


def parted(model: onnx.ModelProto, seen: Iterable[Seen]) -> frozenset[str]:
    """Return the names of the values that are joined so, by shapes that onnx infers."""
    names = {one.name for one in seen}
    if not names:
        return frozenset()
    graph = ir.serde.deserialize_model(onnx.shape_inference.infer_shapes(model)).graph
    values = {value.name: value for node in graph for value in node.outputs if value.name in names}
    return frozenset(name for name, value in values.items() if name is not None and _is_parted(value))


def _is_parted(value: ir.Value) -> bool:
    """Whether a Concat of 4, 1 and K columns is right behind ``value``, with nothing between but moves."""
    waiting, done = [value], set()
    while waiting:
        node = waiting.pop().producer()
        if node is None or node in done or node.domain != "" or node.op_type not in _MOVING:
            continue
        done.add(node)
        if node.op_type == "Concat" and _extents(node)[:2] == [4, 1] and len(node.inputs) == 3:
            return True
        count = len(node.inputs) if node.op_type == "Concat" else 1
        waiting += [one for one in node.inputs[:count] if one is not None]
    return False


def _extents(node: ir.Node) -> list[object]:
    axis = attribute(node, "axis")
    return [None if one is None or one.shape is None else one.shape[axis] for one in node.inputs]
