"""The gradient of max pooling without MaxPool's index output, which compilers refuse.

Before: ``MaxPoolInputGradient(x, y, dy)``, with the attributes of the forward pooling.

After, over several axes: the maximum over the last one is computed again, and the gradient goes through that
pooling and the one over the others in turn. The first of equal maxima in the rows is found either way.

After, over one axis, with k = 0 … K − 1 the offsets of the window and x_k the part of x that offset k sees:

    n_k = [x_k < y] = HardSigmoid(2¹⁰⁰·(y − x_k))     x_k is a strided Conv with one tap per channel
    e_k = [x_k = y] = HardSigmoid(1 − 2¹⁰⁰·(y − x_k))
    G_0 = dy,  G_{k+1} = G_k·n_k                       what no earlier offset has taken
    dx  = Σ_k place_k(G_k·e_k)                         the adjoint of the Conv for x_k

So the first of equal maxima takes the gradient, as in PyTorch. The last offset takes what is left: some
offset matched.

Two axes apart need 2·K offsets and not K². One-tap Conv and sum are a single kernel in ONNX Runtime,
in the layout of the convolutions around; Slice and Pad in its place took more than half as long as
ResNet-18's forward pass.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import reduce
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
    pooling = _Pooling(**{name: attribute(node, name) for name in _Pooling.__dataclass_fields__})
    wide = [axis for axis, length in enumerate(pooling.kernel_shape) if length > 1]
    if len(wide) < 2:
        return _along_one_axis(op, x, y, dy, pooling)
    last, others = pooling.only([wide[-1]]), pooling.only(wide[:-1])
    between = last.pooled(op, x)
    between_gradient = op.internal("MaxPoolInputGradient", [between, y, dy], like=between, **asdict(others))
    return op.internal("MaxPoolInputGradient", [x, between, between_gradient], like=x, **asdict(last))


@dataclass(frozen=True)
class _Pooling:
    """The attributes of a pooling, one number for each spatial axis."""

    kernel_shape: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[int]
    """Before each axis, then after each."""

    def only(self, axes: list[int]) -> _Pooling:
        """Return the pooling along ``axes``, which leaves the others as they are."""
        rank = len(self.kernel_shape)
        along = [axis in axes for axis in range(rank)]
        kernel, strides, dilations = (
            [length if there else 1 for length, there in zip(lengths, along, strict=True)]
            for lengths in (self.kernel_shape, self.strides, self.dilations)
        )
        pads = [length if there else 0 for length, there in zip(self.pads, along * 2, strict=True)]
        return _Pooling(kernel, strides, dilations, pads)

    def pooled(self, op: Op, x: ir.Value) -> ir.Value:
        """Return the maxima. Engines want no more padding than the window is long, so x is padded before."""
        attributes = asdict(self)
        if any(pad >= length for pad, length in zip(self.pads, self.kernel_shape * 2, strict=True)):
            x, attributes["pads"] = _padded(op, x, self.pads), [0] * len(self.pads)
        return op.MaxPool(x, **attributes)


def _along_one_axis(op: Op, x: ir.Value, y: ir.Value, dy: ir.Value, pooling: _Pooling) -> ir.Value:
    kernel, channels = pooling.kernel_shape, fixed_shape(x)[0]
    window = {"strides": pooling.strides, "dilations": pooling.dilations, "group": channels}
    source, source_pads = x, pooling.pads
    if not _zero_is_lowest(x):
        source, source_pads = _padded(op, x, pooling.pads), [0] * len(pooling.pads)
    size = math.prod(kernel)
    left, placed = dy, []
    for k, tap in enumerate(np.eye(size, dtype=np.float32).reshape(size, 1, 1, *kernel)):
        weights, taken = np.repeat(tap, channels, axis=0), left
        if k < size - 1:
            minus_seen = op.Conv(source, op.constant(-weights, like=x), pads=source_pads, **window)
            below = op.Add(minus_seen, y)
            taken = op.Mul(left, op.HardSigmoid(below, alpha=-STEEP, beta=1.0))
            left = op.Mul(left, op.HardSigmoid(below, alpha=STEEP, beta=0.0))
        inputs = [taken, op.constant(weights, like=x)]
        placed.append(op.internal("ConvInputGradient", inputs, like=x, pads=pooling.pads, **window))
    return reduce(op.Add, placed)


def _zero_is_lowest(x: ir.Value) -> bool:
    """Tell whether zero padding can only win where the gradient does not matter.

    x ≥ 0 behind a ReLU: a padded zero equals the maximum only where that is 0, and there the ReLU lets no
    gradient pass. The same holds for maxima of such values.
    """
    node = x.producer()
    if node is not None and node.op_type == "MaxPool":
        return _zero_is_lowest(operand(node, 0))
    return node is not None and node.op_type == "Relu"


def _padded(op: Op, x: ir.Value, pads: list[int]) -> ir.Value:
    if not any(pads):
        return x
    rank = len(pads) // 2
    return op.Pad(x, [0, 0, *pads[:rank], 0, 0, *pads[rank:]], op.constant(LOWEST, like=x))
