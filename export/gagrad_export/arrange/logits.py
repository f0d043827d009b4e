"""What lies in front of the sigmoids behind a value, element by element.

A detector joins boxes and probabilities in one output: ``Concat(boxes, Sigmoid(s))``. The copy is
``Concat(boxes, s)``: the same operators that move elements, without the sigmoids. Where it differs from the
output, and its sigmoid is the output, an element is a probability whose logit is known. A product of two
sigmoids, objectness and class, is one as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.emit import operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op

_MOVING = {
    **dict.fromkeys(("Flatten", "Gather", "Identity", "Reshape", "Slice", "Split"), 1),
    **dict.fromkeys(("Squeeze", "Transpose", "Unsqueeze"), 1),
    "Concat": None,
}
"""Operators that move elements, and how many of their inputs hold these; None where all do."""
_DEEPEST = 60
"""How many operators may lie between the sigmoids and the value."""


def logit_of_product(op: Op, one: ir.Value, other: ir.Value) -> ir.Value:
    """Return the logit of σ(one)·σ(other): ``one − softplus(softplus(one) − other)``; see ADR 25."""
    result: ir.Value = op.Sub(one, op.Softplus(op.Sub(op.Softplus(one), other)))
    return result


def without_sigmoids(op: Op, value: ir.Value) -> ir.Value | None:
    """Return a copy of ``value`` without the sigmoids right behind it; None where there are none.

    Right behind: with nothing between that does more than move elements.
    """
    return _Copies(op).of(value, 0)


class _Copies:
    """Copies of values without their sigmoids, each made once."""

    def __init__(self, op: Op) -> None:
        self._op = op
        self._known: dict[ir.Value, ir.Value | None] = {}

    def of(self, value: ir.Value, depth: int) -> ir.Value | None:
        if value not in self._known and depth <= _DEEPEST:
            self._known[value] = None
            node = value.producer()
            if node is not None and node.domain == "":
                self._copy(value, node, depth + 1)
        return self._known.get(value)

    def _copy(self, value: ir.Value, node: ir.Node, depth: int) -> None:
        if node.op_type == "Sigmoid":
            self._known[value] = operand(node, 0)
        elif node.op_type == "Mul":
            one, other = (self.of(operand(node, index), depth) for index in (0, 1))
            if one is not None and other is not None:
                self._known[value] = logit_of_product(self._op, one, other)
        elif node.op_type == "ScatterND" and "reduction" not in node.attributes:
            self._moved(node, (0, 2), depth)
        elif node.op_type in _MOVING:
            count = _MOVING[node.op_type]
            self._moved(node, tuple(range(len(node.inputs) if count is None else count)), depth)

    def _moved(self, node: ir.Node, moved: tuple[int, ...], depth: int) -> None:
        """Let ``node`` move the logits instead, where one of its inputs ``moved`` has them."""
        parts = {index: self.of(operand(node, index), depth) for index in moved}
        if all(part is None for part in parts.values()):
            return
        inputs = [parts.get(index) or value for index, value in enumerate(node.inputs)]
        attributes = {name: item.value for name, item in node.attributes.items()}
        outputs = self._op.emit(node.op_type, inputs, attributes, len(node.outputs))
        for old, new in zip(node.outputs, outputs, strict=True):
            new.type, new.shape = old.type, old.shape
            self._known[old] = new
