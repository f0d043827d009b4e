"""Stay in the blocked layout of the convolutions: what comes in another joins it before they meet.

Before: ``Add(Conv(a, w), x)`` with x from a Reshape, an Expand, a Concat.
After: ``Add(Conv(a, w), AveragePool(x; window 1))``.

ONNX Runtime computes convolutions in blocks of channels, and sums and products too, if all that they read
is in blocks; else it brings all of it back to the plain layout. The gradient of a residual network begins
plain, behind the mean over all pixels, and a sum takes it on past each block: one plain tensor makes the
whole stream plain, with three copies a block. An average over one pixel is the identity, and has a blocked
form: one copy, and the rest of the stream stays. Engines with one layout need none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    from gagrad_export.emit import Op

_BLOCK = 16
"""Channels of a block where vectors are longest; where they are shorter it is half of that."""
_FUNCTIONS = frozenset({"Clip", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"})


def stay_blocked(op: Op) -> None:
    """Put an identity before each sum and product that would leave the layout.

    The graph has to be sorted afterwards.
    """
    op.graph.sort()
    blocked: set[ir.Value | None] = set()
    joined: dict[ir.Value, ir.Value] = {}
    for node in list(op.graph):
        if node.op_type in ("Add", "Mul"):
            _join(op, node, blocked, joined)
        if _is_blocked(node, blocked):
            blocked.add(node.outputs[0])


def _join(op: Op, node: ir.Node, blocked: set[ir.Value | None], joined: dict[ir.Value, ir.Value]) -> None:
    """Bring the one operand that is not blocked into the layout of the other."""
    at = [i for i, value in enumerate(node.inputs) if value not in blocked]
    if len(at) != 1 or not _in_blocks(node.outputs[0]):
        return
    value = operand(node, at[0])
    if static_shape(value) != static_shape(node.outputs[0]):
        return
    if value not in joined:
        joined[value] = op.AveragePool(value, kernel_shape=[1, 1])
        blocked.add(joined[value])
    node.replace_input_with(at[0], joined[value])


def _is_blocked(node: ir.Node, blocked: set[ir.Value | None]) -> bool:
    """Tell whether ONNX Runtime gives the output of ``node`` in blocks."""
    if node.domain or not _in_blocks(node.outputs[0]):
        return False
    match node.op_type:
        case "Conv":
            group, (outputs, inputs, *_) = attribute(node, "group", 1), static_shape(operand(node, 1))
            depthwise = inputs == 1 and outputs == group
            return group == 1 or depthwise or not ((outputs or 1) // group % _BLOCK or (inputs or 1) % _BLOCK)
        case "MaxPool" | "AveragePool":
            return True
        case "Add" | "Mul":
            return all(value in blocked for value in node.inputs)
        case function:
            return function in _FUNCTIONS and node.inputs[0] in blocked


def _in_blocks(value: ir.Value) -> bool:
    """Tell whether ``value`` is an image whose channels fill blocks."""
    shape = [] if value.shape is None else static_shape(value)
    channels = shape[1] if len(shape) == 4 else None
    return value.dtype == ir.DataType.FLOAT and channels is not None and channels % _BLOCK == 0
