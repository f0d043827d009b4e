"""The activation at the end of a model: the gradient starts before it.

Before: ``scores → Softmax → Clip → Mul → Reshape → output``. After: ``scores → Reshape → output``; the
activation and the arithmetic behind it are recorded. The paper explains logits: behind a softmax the gradient
of a confident class vanishes.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known, findings_of
from gagrad_export.canonicalise.interface.activation import Step, activation_at, factor, step_of
from gagrad_export.emit import Op, attribute, operand

if TYPE_CHECKING:
    from collections.abc import Collection

    from gagrad_edge.output import Activation
    from gagrad_export.canonicalise.findings import Findings
    from gagrad_export.canonicalise.interface.activation import Found, Steps

_ACTIVATIONS: dict[str, Activation] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
_VIEWS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_SHARES = (1.0, 100.0)
"""What a sigmoid may be multiplied by and still be a probability; by another number it is a quantity."""
_OPPOSITE = (Step("scale", -1), Step("offset", 1))
"""1 − σ(s) = σ(−s)."""


class SplitTail(Pass):
    """Takes a trailing activation out of the graph. Raises ModelError where the output is an integer."""

    needs = Known.FIXED
    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Record the activation's operator and axis in the findings."""
        findings = findings_of(model)
        _require_float(model.graph.outputs[0], findings.value_names)
        modified = findings.request.split and _split_tail(model.graph, findings)
        return ir.passes.PassResult(model, modified)


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


def _split_tail(graph: ir.Graph, findings: Findings) -> bool:
    """Take a trailing activation out of ``graph`` and return True; False where there is none to take out.

    Where there is one but the output is not its probabilities, the findings say so.
    """
    found, views, steps = _trailing(graph.outputs[0])
    if found is None:
        return False
    name = "sigmoid" if found.operator == "Sigmoid" else "softmax"
    start = (Step("log"),) if found.operator == "LogSoftmax" else ()
    scale = factor((*start, *found.steps, *steps))
    if scale is None and name == "sigmoid":
        opposite = replace(found, slope=-found.slope, steps=(*_OPPOSITE, *found.steps))
        if (scale := factor((*opposite.steps, *steps))) is not None:
            found = opposite
    if scale is None or (name == "sigmoid" and scale not in _SHARES):
        if not found.steps:  # else it is Tanh or Softplus, which is usually no probability
            how = "" if scale is None else f" times {scale:g}"
            findings.plain = f"it is computed from a {name}{how} and is no probability itself"
        return False
    axis = found.axis
    for view in reversed(views):
        if axis is not None and (axis := _axis_behind(view, axis)) is None:
            findings.plain = "behind the softmax the classes are mixed with another axis"
            return False
    if scale != 1:
        findings.notes.append(
            f"the output is {scale:g} times a probability: the probabilities shown are the output divided by "
            f"{scale:g}"
        )
    scores = found.scores(Op(graph, "tail"))
    for view in reversed(views):
        view.replace_input_with(0, scores)
        scores = view.outputs[0]
    graph.outputs[0] = scores
    graph.sort()
    findings.activation, findings.class_axis = found.operator, axis
    findings.behind = (*found.steps, *steps)
    return True


def _trailing(output: ir.Value) -> tuple[Found | None, list[ir.Node], Steps]:
    """Return the activation that ``output`` is computed from with views and arithmetic alone, or None.

    The views are in the order from the output inwards, the arithmetic from the activation outwards.
    """
    value, views = output, []
    steps: Steps = ()
    while (found := activation_at(value)) is None and (node := value.producer()) is not None:
        if _is_view(node):
            views.append(node)
            value = operand(node, 0)
        elif (arithmetic := step_of(node)) is not None:
            value, steps = arithmetic[0], (*arithmetic[1], *steps)
        else:
            break
    return found, views, steps


def _is_view(node: ir.Node) -> bool:
    """Whether a node moves elements and leaves their values; rounding to an integer is no view."""
    dtype = node.outputs[0].dtype
    return node.domain == "" and node.op_type in _VIEWS and (dtype is None or dtype.is_floating_point())


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
