"""Softmax in place of the exponentials and sums that it is written out in.

Before: ``Exp(s − ReduceMax(s)) / ReduceSum(…)``, with or without the maximum. After: ``Softmax(s)``. The
maximum only guards against overflow: e^(s−m) / Σe^(s−m) = e^s / Σe^s. Likewise ``Log(Softmax(s))`` and
``s − Log(ReduceSum(Exp(s)))`` become ``LogSoftmax(s)``. One operator is faster and its gradient is shorter;
at the end of a model it is recognised as the activation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.rewrite.writing import Rewriting, standard_nodes
from gagrad_export.emit import attribute, constant_array, operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from gagrad_export.emit import Op


class FuseSoftmax(Rewriting):
    """Replaces every softmax that is written out; its parts are left without a use."""

    needs = Known.ALL

    def nodes(self, graph: ir.Graph) -> list[ir.Node]:
        """Return the nodes that may be the last of a softmax."""
        return standard_nodes(graph, ("Div", "Log", "Sub"))

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value] | None:
        """Return the output of Softmax or LogSoftmax; None where ``node`` is not the last of one."""
        for find in (_softmax, _log_of_softmax, _log_softmax):
            found = find(node)
            if found is not None:
                op_type, scores, axis = found
                return op.emit(op_type, [_unshifted(scores, axis)], {"axis": axis})
        return None


Found: TypeAlias = "tuple[str, ir.Value, int]"
"""The operator, its input s and its axis."""


def _softmax(node: ir.Node) -> Found | None:
    """``Div(Exp(z), ReduceSum(Exp(z)))``."""
    if node.op_type != "Div":
        return None
    exp, total = operand(node, 0), _producer(node.inputs[1], "ReduceSum")
    power = _producer(exp, "Exp")
    axis = _kept_axis(total)
    if power is None or total is None or axis is None or total.inputs[0] is not exp:
        return None
    return "Softmax", operand(power, 0), axis


def _log_of_softmax(node: ir.Node) -> Found | None:
    """``Log(Softmax(s))``."""
    inner = _producer(node.inputs[0], "Softmax") if node.op_type == "Log" else None
    return None if inner is None else ("LogSoftmax", operand(inner, 0), attribute(inner, "axis", -1))


def _log_softmax(node: ir.Node) -> Found | None:
    """``Sub(s, Log(ReduceSum(Exp(s))))`` or ``Sub(s, ReduceLogSumExp(s))``."""
    if node.op_type != "Sub":
        return None
    scores = operand(node, 0)
    total = _producer(node.inputs[1], "ReduceLogSumExp")
    summed = total and total.inputs[0]
    if total is None and (log := _producer(node.inputs[1], "Log")) is not None:
        total = _producer(log.inputs[0], "ReduceSum")
        power = _producer(total.inputs[0], "Exp") if total is not None else None
        summed = power and power.inputs[0]
    axis = _kept_axis(total)
    return ("LogSoftmax", scores, axis) if axis is not None and summed is scores else None


def _unshifted(scores: ir.Value, axis: int) -> ir.Value:
    """Return s where ``scores`` is ``s − ReduceMax(s)``."""
    shifted = _producer(scores, "Sub")
    maximum = None if shifted is None else _producer(shifted.inputs[1], "ReduceMax")
    if shifted is None or maximum is None or maximum.inputs[0] is not shifted.inputs[0]:
        return scores
    return operand(shifted, 0) if _kept_axis(maximum) == axis else scores


def _producer(value: ir.Value | None, op_type: str) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and (node.domain, node.op_type) == ("", op_type) else None


def _kept_axis(node: ir.Node | None) -> int | None:
    """Return the one axis that a reduction keeps as 1, counted from the front; None for any other."""
    if node is None:
        return None
    axes = constant_array(node.inputs[1]) if len(node.inputs) > 1 else attribute(node, "axes")
    shape = operand(node, 0).shape
    if axes is None or len(axes) != 1 or shape is None or not attribute(node, "keepdims", 1):
        return None
    return int(axes[0]) % shape.rank()
