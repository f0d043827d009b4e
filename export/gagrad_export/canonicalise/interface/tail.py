"""The activation at the end of a model: the gradient starts before it.

Before: ``scores → Softmax → Clip → Mul → Reshape → output``. After: ``scores → Reshape → output``; the
activation and the arithmetic behind it are recorded. The paper explains logits: behind a softmax the gradient
of a confident class vanishes. A detector that joins the scores of several levels has the activation once for
each level: ``Concat(Sigmoid(a), Sigmoid(b))`` becomes ``Concat(a, b)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known, findings_of
from gagrad_export.canonicalise.interface.activation import Step, factor
from gagrad_export.canonicalise.interface.structure import trailing
from gagrad_export.emit import Op

if TYPE_CHECKING:
    from collections.abc import Collection

    from gagrad_edge.output import Activation
    from gagrad_export.canonicalise.findings import Findings

_ACTIVATIONS: dict[str, Activation] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
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
    tail = trailing(graph.outputs[0])
    if tail is None:
        return False
    name = "sigmoid" if tail.operator == "Sigmoid" else "softmax"
    start = (Step("log"),) if tail.operator == "LogSoftmax" else ()
    scale, steps, opposite = factor((*start, *tail.steps)), tail.steps, False
    if scale is None and name == "sigmoid" and (other := factor((*_OPPOSITE, *tail.steps))) is not None:
        scale, steps, opposite = other, (*_OPPOSITE, *tail.steps), True
    if scale is None or (name == "sigmoid" and scale not in _SHARES):
        if not tail.own_steps:  # else it is Tanh or Softplus, which is usually no probability
            how = "" if scale is None else f" times {scale:g}"
            findings.plain = f"it is computed from a {name}{how} and is no probability itself"
        return False
    if name == "softmax" and tail.axis is None:
        findings.plain = (
            "behind the softmax the classes are mixed with another axis, or only some of them are left"
        )
        return False
    if scale != 1:
        findings.notes.append(
            f"the output is {scale:g} times a probability: the probabilities shown are the output divided by "
            f"{scale:g}"
        )
    graph.outputs[0] = tail.scores(Op(graph, "tail"), opposite)
    graph.sort()
    findings.activation, findings.class_axis = tail.operator, tail.axis
    findings.behind = steps
    return True


def activation_of(op_type: str | None) -> Activation | None:
    """Return the manifest's name of an activation's operator."""
    return None if op_type is None else _ACTIVATIONS[op_type]
