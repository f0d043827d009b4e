"""Masks of a max pooling: where the input at one offset of the window is below, or equal to, the maximum.

Before: ``Below(x, y; offset)`` = [x_k < y] and ``Equal(x, y; offset)`` = [x_k = y], where y is the pooled
value and x_k the part of x read at the offset: x_k ≤ y. The window is longer than 1 along at most one axis.

After: ``HardSigmoid(2¹⁰⁰·(y − x_k))`` and ``HardSigmoid(1 − 2¹⁰⁰·(y − x_k))``, see ``gate.py``. −x_k is a
strided Conv with one tap per channel. ONNX Runtime runs the Conv and the sum as one kernel, in the blocked
layout of the surrounding convolutions; with Slice and Pad instead, the masks took more than half the time of
ResNet-18's forward pass.

After, for TensorRT: a comparison with a Slice with steps, which only moves data and is exact in float16 too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.emit import attribute, fixed_shape, operand
from gagrad_export.lower.gate import STEEP, ZERO

if TYPE_CHECKING:
    from gagrad_export.emit import Op

LOWEST = float(np.finfo(np.float32).min)


def lower_offset_mask(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered Below or Equal ``node``, a mask of 0 and 1, as a HardSigmoid."""
    x, y = operand(node, 0), operand(node, 1)
    if x.dtype == ir.DataType.FLOAT16:
        return lower_offset_mask_by_comparison(op, node)
    kernel, pads, channels = attribute(node, "kernel_shape"), attribute(node, "pads"), fixed_shape(x)[0]
    if not _zero_is_lowest(x):
        x, pads = padded(op, x, pads), [0] * len(pads)
    tap = np.zeros((channels, math.prod(kernel)), np.float32)
    tap[:, attribute(node, "offset")] = -1
    minus_seen = op.Conv(
        x,
        op.constant(tap.reshape(channels, 1, *kernel), like=x),
        pads=pads,
        strides=attribute(node, "strides"),
        dilations=attribute(node, "dilations"),
        group=channels,
    )
    distance = op.Add(minus_seen, y)
    if node.op_type == "Equal":
        return op.HardSigmoid(distance, alpha=-STEEP, beta=1.0)
    return op.HardSigmoid(distance, alpha=STEEP, beta=ZERO)


def lower_offset_mask_by_comparison(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered Below or Equal ``node``, a mask of 0 and 1, from Slice and a comparison."""
    x, y = operand(node, 0), operand(node, 1)
    kernel, strides = attribute(node, "kernel_shape"), attribute(node, "strides")
    axis = max(range(len(kernel)), key=kernel.__getitem__)
    start = attribute(node, "offset") * attribute(node, "dilations")[axis]
    end = start + (fixed_shape(y)[1 + axis] - 1) * strides[axis] + 1
    spatial = range(len(kernel))
    starts = [start if i == axis else 0 for i in spatial]
    ends = [end if i == axis else fixed_shape(y)[1 + i] * strides[i] for i in spatial]
    seen = op.Slice(padded(op, x, attribute(node, "pads")), starts, ends, [2 + i for i in spatial], strides)
    return op.CastLike(op.Equal(seen, y) if node.op_type == "Equal" else op.Less(seen, y), y)


def padded(op: Op, x: ir.Value, pads: list[int]) -> ir.Value:
    """Return ``x`` padded with the lowest number of its dtype, which is never the maximum of a window."""
    if not any(pads):
        return x
    rank = len(pads) // 2
    lowest = np.finfo(np.float16).min if x.dtype == ir.DataType.FLOAT16 else LOWEST
    return op.Pad(x, [0, 0, *pads[:rank], 0, 0, *pads[rank:]], op.constant(float(lowest), like=x))


def _zero_is_lowest(x: ir.Value) -> bool:
    """Tell whether zero padding of ``x`` gives the same input gradient as padding with the lowest number.

    After a ReLU x ≥ 0, so a padded zero equals the maximum only where the maximum is 0, and there the ReLU
    passes no gradient. The same holds for the maxima of such values.
    """
    node = x.producer()
    if node is not None and node.op_type == "MaxPool":
        return _zero_is_lowest(operand(node, 0))
    return node is not None and node.op_type == "Relu"
