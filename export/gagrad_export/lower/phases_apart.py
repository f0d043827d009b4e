"""Interleave late: where fewer channels have to be moved, and sums before they are spread out.

Before: ``Conv(Gate(Interleave(p₀, …), y), w)`` with one weight per pair of channels, to fewer channels.
After: ``Interleave(Conv(Gate(p₀, Phase₀(y)), w), …)``.

Before: ``Add(Interleave(p₀, …), Interleave(q₀, …))``.
After: ``Interleave(Add(p₀, q₀), …)``.

Both hold because these operators treat every pixel alike. In an inverted bottleneck the gradient of a strided
depthwise convolution has six times the channels of what the pointwise convolution before it makes of it; in a
residual block the shortcut's gradient is zero for three pixels of four, which are then never written. And the
masks between stay in the blocked layout of the convolutions, which Interleave ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.emit import INTERNAL, attribute, operand, static_shape
from gagrad_export.lower.interleave import keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from gagrad_export.emit import Op

    Parts = Sequence[ir.Value | None]


def keep_phases_apart(op: Op) -> None:
    """Move every Interleave to where it costs least. The graph has to be sorted afterwards."""
    op.graph.sort()
    for node in list(op.graph):
        if _is_interleave(node):
            _move(op, node)


def _move(op: Op, node: ir.Node) -> None:
    steps = _worthwhile_steps(node.outputs[0])
    if not steps:
        return
    parts, at = list(node.inputs), node.outputs[0]
    for step in steps:
        parts = [_step(op, step, step.inputs.index(at), index, parts) for index in range(len(parts))]
        at = step.outputs[0]
    moved = op.internal("Interleave", parts, like=at)
    at.replace_all_uses_with(moved)
    for left in [*reversed(steps), node]:
        op.graph.remove(left, safe=True)


def _worthwhile_steps(value: ir.Value) -> list[ir.Node]:
    """Return the operators behind ``value`` to do before Interleave; each alone reads the one before."""
    steps: list[ir.Node] = []
    worthwhile, fewest = 0, static_shape(value)[1] or 0
    while len(value.uses()) == 1 and not value.is_graph_output():
        (use,) = value.uses()
        step = use.node
        if not (_is_pointwise_convolution(step, use.idx) or _is_elementwise(step, use.idx)):
            break
        steps.append(step)
        (value,) = step.outputs
        channels = static_shape(value)[1] or 0
        if (
            step.op_type == "Add" and _is_interleave(operand(step, 1 - use.idx).producer())
        ) or 2 * channels <= fewest:
            worthwhile, fewest = len(steps), channels
    return steps[:worthwhile]


def _step(op: Op, step: ir.Node, at: int, index: int, parts: Parts) -> ir.Value | None:
    """Return part ``index`` of the output of ``step``, whose input ``at`` has these parts."""
    part = parts[index]
    like = next(known for known in parts if known is not None)
    if step.op_type == "Conv":
        return None if part is None else op.Conv(part, operand(step, 1))
    other = _part(op, operand(step, 1 - at), index, like)
    if part is None or other is None:
        # A zero adds nothing, and leaves nothing of a product.
        return (part if other is None else other) if step.op_type == "Add" else None
    if step.op_type == "Gate":
        return op.internal("Gate", [part, other], like=part, **_attributes(step))
    return op.emit(step.op_type, [part, other], {})[0]


def _part(op: Op, value: ir.Value, index: int, like: ir.Value) -> ir.Value | None:
    """Return part ``index`` of ``value``; the value itself where it is the same for all pixels."""
    rank = len(static_shape(like)) - 2
    if _is_same_everywhere(value, rank):
        return value
    producer = value.producer()
    if producer is not None and _is_interleave(producer):
        return producer.inputs[index]
    return op.internal("Phase", [value], like=like, phase=keys(rank)[index])


def _attributes(node: ir.Node) -> dict[str, object]:
    return {name: attribute(node, name) for name in node.attributes}


def _is_interleave(node: ir.Node | None) -> bool:
    return node is not None and node.domain == INTERNAL and node.op_type == "Interleave"


def _is_pointwise_convolution(node: ir.Node, at: int) -> bool:
    if node.op_type != "Conv" or at != 0 or len(node.inputs) != 2 or attribute(node, "group", 1) != 1:
        return False
    window = {*static_shape(operand(node, 1))[2:], *attribute(node, "strides", [1])}
    return window == {1} and not any(attribute(node, "pads", [0]))


def _is_elementwise(node: ir.Node, at: int) -> bool:
    """Tell whether ``node`` treats every pixel of two values, or of one and some numbers, alike."""
    if not (node.op_type in ("Add", "Mul") or (node.op_type == "Gate" and at == 0)):
        return False
    value, other = operand(node, at), operand(node, 1 - at)
    shape, rank = static_shape(value), len(static_shape(value)) - 2
    if other is value or static_shape(node.outputs[0])[1:] != shape[1:]:
        return False
    return static_shape(other)[1:] == shape[1:] or _is_same_everywhere(other, rank)


def _is_same_everywhere(value: ir.Value, rank: int) -> bool:
    return {*static_shape(value)[-rank:]} <= {1}
