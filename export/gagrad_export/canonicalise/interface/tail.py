"""Find the activation at the end of a model: the gradient starts before it.

Before: ``scores → Softmax → Reshape → output``. After: ``scores → Reshape → output``, and the activation is
recorded. The paper explains logits: behind a softmax the gradient of a confident class vanishes.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_edge.manifest import Activation

_ACTIVATIONS: dict[str, Activation] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
_VIEWS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


def split_tail(graph: ir.Graph) -> tuple[str | None, int | None]:
    """Take a trailing activation out of ``graph``.

    Returns its operator (None if there is none) and the output's axis that a softmax runs over.
    """
    output = graph.outputs[0]
    value, views = output, []
    while (node := value.producer()) is not None and node.domain == "" and node.op_type in _VIEWS:
        views.append(node)
        value = operand(node, 0)
    if node is None or node.domain != "" or node.op_type not in _ACTIVATIONS:
        return None, None
    axis: int | None = None
    if node.op_type != "Sigmoid":
        axis = int(attribute(node, "axis", -1)) % len(shape_of(value))
        for view in reversed(views):
            axis = _axis_behind(view, axis)
            if axis is None:
                # The classes were mixed with another axis: what follows is no longer one softmax.
                return None, None
    scores = operand(node, 0)
    if views:
        views[-1].replace_input_with(0, scores)
    else:
        graph.outputs[0] = scores
    return node.op_type, axis


def activation_of(op_type: str | None) -> Activation | None:
    """Return the manifest's name of an activation's operator."""
    return None if op_type is None else _ACTIVATIONS[op_type]


def _axis_behind(view: ir.Node, axis: int) -> int | None:
    """Return where ``axis`` of the input lies in the output of ``view``; None when it is no axis there."""
    shape, target = shape_of(view.inputs[0]), shape_of(view.outputs[0])
    if view.op_type in ("Cast", "Identity"):
        return axis
    if view.op_type == "Transpose":
        perm: list[int] = attribute(view, "perm", list(reversed(range(len(shape)))))
        return perm.index(axis)
    outer = prod(shape[:axis])
    found = [i for i, dim in enumerate(target) if dim == shape[axis] and prod(target[:i]) == outer]
    return found[0] if found else None
