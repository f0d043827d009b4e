"""Keep ONNX Runtime's blocked layout: convert a plain operand of a sum or product to blocks first.

Before: ``Add(Conv(a, w), x)`` with x from a Reshape, an Expand, a Concat.
After: ``Add(Conv(a, w), AveragePool(x; window 1))``.

ONNX Runtime computes convolutions in blocks of channels. It computes a sum or product in blocks only if all
operands are in blocks; otherwise it converts them to the plain layout. In the backward pass of a residual
network the gradient is plain at first (it comes from the global average) and is added to at every residual
block. So one plain tensor makes the whole residual stream plain, with three copies per block. An average over
one pixel is the identity and has a blocked kernel: it costs one copy, and the stream stays in blocks. Engines
with a single layout do not need this pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    from gagrad_export.emit import Op

_BLOCK = 16
"""Channels per block on processors with 512-bit vectors; 8 on others, which divides 16."""
_FUNCTIONS = frozenset({"Clip", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"})
"""Functions whose output is in blocks if their input is."""


def stay_blocked(op: Op) -> None:
    """Insert a one-pixel average at each sum or product with one plain operand and one in blocks.

    The caller must sort the graph afterwards.
    """
    op.graph.sort()
    blocked: set[ir.Value | None] = set()
    converted: dict[ir.Value, ir.Value] = {}
    for node in list(op.graph):
        if node.op_type in ("Add", "Mul"):
            _convert(op, node, blocked, converted)
        if _is_blocked(node, blocked):
            blocked.add(node.outputs[0])


def _convert(
    op: Op, node: ir.Node, blocked: set[ir.Value | None], converted: dict[ir.Value, ir.Value]
) -> None:
    """Replace the plain operand of ``node`` by its average over one pixel, if exactly one operand is plain.

    ``converted`` maps a plain value to its average, so that each value is converted once.
    """
    at = [i for i, value in enumerate(node.inputs) if value not in blocked]
    if len(at) != 1 or not _in_blocks(node.outputs[0]):
        return
    value = operand(node, at[0])
    if static_shape(value) != static_shape(node.outputs[0]):
        return
    if value not in converted:
        converted[value] = op.AveragePool(value, kernel_shape=[1, 1])
        blocked.add(converted[value])
    node.replace_input_with(at[0], converted[value])


def _is_blocked(node: ir.Node, blocked: set[ir.Value | None]) -> bool:
    """Tell whether ONNX Runtime computes the output of ``node`` in blocks."""
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
    """Tell whether ``value`` is float32 ``[N, C, H, W]`` with C a multiple of the block."""
    shape = [] if value.shape is None else static_shape(value)
    channels = shape[1] if len(shape) == 4 else None
    return value.dtype == ir.DataType.FLOAT and channels is not None and channels % _BLOCK == 0
