"""The activation at the end of a model: the gradient starts before it.

Before: ``scores → Softmax → Reshape → output``. After: ``scores → Reshape → output``, and the activation is
recorded. The paper explains logits: behind a softmax the gradient of a confident class vanishes.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known, findings_of
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from collections.abc import Collection

    from gagrad_edge.manifest import Activation

_ACTIVATIONS: dict[str, Activation] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
_VIEWS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


class SplitTail(Pass):
    """Takes a trailing activation out of the graph. Raises ModelError where the output is an integer."""

    needs = Known.FIXED
    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Record the activation's operator and axis in the findings."""
        findings = findings_of(model)
        _require_float(model.graph.outputs[0], findings.value_names)
        findings.activation, findings.class_axis = _split_tail(model.graph)
        return ir.passes.PassResult(model, findings.activation is not None)


def _require_float(output: ir.Value, names: Collection[str]) -> None:
    """Refuse an output that is an index or a flag. Raises ModelError with the value in front of it.

    ``names`` are the values of the model's file, any of which may be chosen as the output.
    """
    if output.dtype is None or output.dtype.is_floating_point():
        return
    value, in_front = output, None
    while (node := value.producer()) is not None and node.inputs and node.inputs[0] is not None:
        value = node.inputs[0]
        if value.dtype is not None and value.dtype.is_floating_point() and value.name in names:
            in_front = value.name
            break
    raise ModelError(
        f"the output is {output.dtype}, an index or a flag, which has no gradient",
        where=f"output {output.name!r}",
        hint=f"explain the scores in front of it: `output_name={in_front}`"
        if in_front
        else "choose the scores that it is made from with `output_name`",
    )


def _split_tail(graph: ir.Graph) -> tuple[str | None, int | None]:
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
