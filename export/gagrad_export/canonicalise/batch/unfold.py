"""Operators along the axis that holds the batch, in a model for one image: unfold it and go along the rest.

PatchCore compares ``[N·P, C]`` with its memory in chunks: Slice and Concat along axis 0. With N = 1 the axis
is that of the patches. Before: ``Slice(x [N·P, C], axes=[0])``. After: ``Slice(x [N, P, C], axes=[1])``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.canonicalise.batch.along import axes_of
from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.canonicalise.batch.registry import Placed
    from gagrad_export.canonicalise.batch.values import Batch

_BY_ATTRIBUTE = ("ArgMax", "ArgMin", "Concat", "Hardmax", "LogSoftmax", "Softmax", "Split", "TopK")
"""Operators whose axis is an attribute."""
_DEFAULT = {"Concat": None, "Split": 0, "ArgMax": 0, "ArgMin": 0}


def go_along_rows(batch: Batch, node: ir.Node, placed: Placed) -> bool:
    """Let ``node`` go along the rest of the axis, and tell whether that is possible."""
    first = 1 if node.op_type != "Concat" else len(node.inputs)
    if batch.size > 1 or node.domain != "" or any(placed[first:]) or placed[0] is None:
        return False
    rows = [
        None if value is None or place is None else batch.unfolded(value, place)
        for value, place in zip(node.inputs[:first], placed, strict=False)
    ]
    if None in rows:
        return False
    attributes = {name: item.value for name, item in node.attributes.items()}
    others = list(node.inputs[first:])
    if node.op_type in _BY_ATTRIBUTE:
        axis = int(attribute(node, "axis", _DEFAULT.get(node.op_type, -1)))
        attributes["axis"] = axis % len(shape_of(operand(node, 0))) + 1
    elif node.op_type == "Slice" or node.op_type.startswith("Reduce"):
        axes = axes_of(node, len(shape_of(operand(node, 0))))
        if axes is None:
            return False
        shifted = batch.op.constant([axis + 1 for axis in axes])
        others = [*others[:2], shifted, *others[3:]] if node.op_type == "Slice" else [shifted]
    else:
        return False
    return batch.leave(
        node, batch.op.emit(node.op_type, [*rows, *others], attributes, len(node.outputs)), None
    )
