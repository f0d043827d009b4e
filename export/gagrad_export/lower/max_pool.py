"""The gradient of max pooling without MaxPool's index output, which compilers refuse.

Before: ``MaxPoolInputGradient(x, y, dy)``, with the attributes of the forward pooling.

After, with k = 0 … K − 1 the offsets of the window in row order and x_k the part of x that offset k sees:

    n_k = [x_k < y] = HardSigmoid(2¹⁰⁰·(y − x_k))     x_k is a strided Conv with one tap per channel
    G_0 = dy,  G_{k+1} = G_k·n_k                       what no earlier offset has taken
    dx  = Σ_k place_k(G_k − G_{k+1})

So the first of equal maxima takes the gradient, as in PyTorch. The differences and the placing are one
transposed convolution over all G, with weights of 1 and −1: G_k and G_{k+1} meet in one product, where equal
values cancel exactly, before overlapping windows are added. Nothing is left for G_K: some offset matched.

The one-tap Conv, the sum and the step run as a single kernel in ONNX Runtime, in the layout of the
convolutions around; Slice and Pad in its place took more than half as long as ResNet-18's forward pass.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.emit import attribute, fixed_shape, operand
from gagrad_export.lower.gate import STEEP

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op

LOWEST = float(np.finfo(np.float32).min)


def lower_max_pool(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered input gradient of a max pooling."""
    x, y, dy = (operand(node, i) for i in range(3))
    kernel, pads = attribute(node, "kernel_shape"), attribute(node, "pads")
    rank, channels = len(kernel), fixed_shape(x)[0]
    window = {"strides": attribute(node, "strides"), "dilations": attribute(node, "dilations")}
    source, source_pads = (x, pads) if _zero_is_lowest(x) else (_padded(op, x, pads), [0] * 2 * rank)
    size = math.prod(kernel)
    taps = -np.eye(size, dtype=np.float32).reshape(size, 1, 1, *kernel)
    left = [dy]
    for tap in taps[:-1]:
        weights = op.constant(np.repeat(tap, channels, axis=0), like=x)
        minus_seen = op.Conv(source, weights, pads=source_pads, group=channels, **window)
        lower = op.HardSigmoid(op.Add(minus_seen, y), alpha=STEEP, beta=0.0)
        left.append(op.Mul(left[-1], lower))
    stacked = op.Concat(*(op.Unsqueeze(value, [2]) for value in left), axis=2)
    stacked = op.Reshape(stacked, [0, channels * size, *fixed_shape(y)[1:]])
    placing = np.eye(size, dtype=np.float32) - np.eye(size, k=-1, dtype=np.float32)
    placing = np.tile(placing.reshape(size, 1, *kernel), (channels, 1, *[1] * rank))
    return op.internal(
        "ConvInputGradient",
        [stacked, op.constant(placing, like=x)],
        like=x,
        pads=pads,
        group=channels,
        **window,
    )


def _zero_is_lowest(x: ir.Value) -> bool:
    """Tell whether zero padding can only win where the gradient does not matter.

    x ≥ 0 behind a ReLU: a padded zero equals the maximum only where that is 0, and there the ReLU lets no
    gradient pass.
    """
    node = x.producer()
    return node is not None and node.op_type == "Relu"


def _padded(op: Op, x: ir.Value, pads: list[int]) -> ir.Value:
    if not any(pads):
        return x
    rank = len(pads) // 2
    return op.Pad(x, [0, 0, *pads[:rank], 0, 0, *pads[rank:]], op.constant(LOWEST, like=x))
