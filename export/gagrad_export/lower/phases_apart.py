"""Move Interleave behind pixelwise operators, to where it copies fewer channels or one tensor instead of two.

Before: ``Conv(Gate(Interleave(p₀, …), y), w)`` with a 1×1 Conv that has fewer output than input channels.
After: ``Interleave(Conv(Gate(p₀, Phase₀(y)), w), …)``.

Before: ``Add(Interleave(p₀, …), Interleave(q₀, …))``.
After: ``Interleave(Add(p₀, q₀), …)``.

Both hold because these operators compute each pixel from the same pixel of their operands. What it saves:

- In an inverted bottleneck the gradient of the strided depthwise convolution has six times as many channels
  as the gradient of the pointwise convolution before it; Interleave copies the smaller tensor.
- In a residual block the gradient of a strided shortcut is zero for three pixels of four. Those zeros are
  missing parts and are never written.
- The masks in between stay in the blocked layout of the convolutions, which Interleave would end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.emit import INTERNAL, attribute, operand, static_shape
from gagrad_export.lower.interleave import keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from gagrad_export.emit import Op
    from gagrad_export.lower.interleave import Key

    Parts = Mapping[Key, ir.Value | None]


def keep_phases_apart(op: Op) -> None:
    """Move every Interleave to where it costs least. The caller must sort the graph afterwards."""
    op.graph.sort()
    for node in list(op.graph):
        if _is_interleave(node):
            _move(op, node)


def _move(op: Op, node: ir.Node) -> None:
    steps = _worthwhile_steps(node)
    if not steps:
        return
    strides, at = attribute(node, "strides"), node.outputs[0]
    parts: Parts = dict(zip(keys(strides), node.inputs, strict=True))
    for step in steps:
        parts = _behind(op, step, step.inputs.index(at), parts, strides)
        at = step.outputs[0]
    moved = op.internal("Interleave", list(parts.values()), like=at, strides=strides)
    at.replace_all_uses_with(moved)
    for replaced in [*reversed(steps), node]:
        op.graph.remove(replaced, safe=True)


def _worthwhile_steps(node: ir.Node) -> list[ir.Node]:
    """Return the chain of nodes behind the Interleave ``node`` that should be computed on its parts.

    Each node of the chain is the only reader of the one before. The chain is empty if moving saves nothing.
    """
    steps: list[ir.Node] = []
    strides, value = attribute(node, "strides"), node.outputs[0]
    worthwhile, fewest = 0, static_shape(value)[1] or 0
    while len(value.uses()) == 1 and not value.is_graph_output():
        (use,) = value.uses()
        step = use.node
        if not (_is_pointwise_convolution(step, use.idx) or _is_elementwise(step, use.idx)):
            break
        steps.append(step)
        (value,) = step.outputs
        channels = static_shape(value)[1] or 0
        merges = step.op_type == "Add" and _is_interleave(operand(step, 1 - use.idx).producer(), strides)
        if merges or 2 * channels <= fewest:
            worthwhile, fewest = len(steps), channels
    return steps[:worthwhile]


def _behind(op: Op, step: ir.Node, at: int, parts: Parts, strides: Sequence[int]) -> Parts:
    """Return phase → part of the output of ``step``, computed from ``parts`` of its input number ``at``."""
    if step.op_type == "Conv":
        w = operand(step, 1)
        return {key: None if part is None else op.Conv(part, w) for key, part in parts.items()}
    like = next(part for part in parts.values() if part is not None)
    others = _parts(op, operand(step, 1 - at), strides, like)
    return {key: _both(op, step, part, others[key]) for key, part in parts.items()}


def _both(op: Op, step: ir.Node, part: ir.Value | None, other: ir.Value | None) -> ir.Value | None:
    """Return ``step`` applied to one part of each operand; None is a part of zeros."""
    if part is None or other is None:
        return (part or other) if step.op_type == "Add" else None
    if step.op_type == "Gate":
        bounds = {name: attribute(step, name) for name in step.attributes}
        return op.internal("Gate", [part, other], like=part, **bounds)
    return op.emit(step.op_type, [part, other], {})[0]


def _parts(op: Op, value: ir.Value, strides: Sequence[int], like: ir.Value) -> Parts:
    """Return phase → part of ``value``; ``value`` itself for each phase if it is the same for all pixels."""
    producer = value.producer()
    if _is_same_everywhere(value, len(strides)):
        return dict.fromkeys(keys(strides), value)
    if producer is not None and _is_interleave(producer, strides):
        return dict(zip(keys(strides), producer.inputs, strict=True))
    return {
        key: op.internal("Phase", [value], like=like, strides=strides, phase=key) for key in keys(strides)
    }


def _is_interleave(node: ir.Node | None, strides: Sequence[int] | None = None) -> bool:
    if node is None or node.domain != INTERNAL or node.op_type != "Interleave":
        return False
    return strides is None or attribute(node, "strides") == [*strides]


def _is_pointwise_convolution(node: ir.Node, at: int) -> bool:
    if node.op_type != "Conv" or at != 0 or len(node.inputs) != 2 or attribute(node, "group", 1) != 1:
        return False
    window = {*static_shape(operand(node, 1))[2:], *attribute(node, "strides", [1])}
    return window == {1} and not any(attribute(node, "pads", [0]))


def _is_elementwise(node: ir.Node, at: int) -> bool:
    """Tell whether ``node`` computes each pixel from the same pixel of its operands.

    The other operand must have the same shape, or one number for all pixels (Mul only).
    """
    if not (node.op_type in ("Add", "Mul") or (node.op_type == "Gate" and at == 0)):
        return False
    value, other = operand(node, at), operand(node, 1 - at)
    shape, rank = static_shape(value), len(static_shape(value)) - 2
    if other is value or static_shape(node.outputs[0])[1:] != shape[1:]:
        return False
    if static_shape(other)[1:] == shape[1:]:
        return True
    return node.op_type == "Mul" and _is_same_everywhere(other, rank)


def _is_same_everywhere(value: ir.Value, rank: int) -> bool:
    return {*static_shape(value)[-rank:]} <= {1}
