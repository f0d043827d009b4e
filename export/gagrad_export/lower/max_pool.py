"""The gradient of max pooling without MaxPool's index output, which compilers refuse.

Before: ``MaxPoolInputGradient(x, y, dy)``, with the attributes of the forward pooling.

After, for a window over several axes: the pooling is split into one over the last axis and one over the other
axes. The maximum over the last axis is computed again, and the gradient passes through the two poolings in
turn. The first of equal maxima in row order is found as before, with 2·K offsets for a window of K·K.

After, for a window over one axis, with k = 0 … K − 1 its offsets and x_k the part of x read at offset k:

    G_0 = dy,  G_{k+1} = G_k·[x_k < y]      the cotangent that no earlier offset has received
    dx  = Σ_k place_k(G_k·[x_k = y])        place_k is the adjoint of reading x_k

So the first of equal maxima receives the gradient, as in PyTorch. The last offset receives the rest without a
comparison, because one offset must match. The masks [x_k < y] and [x_k = y] are the internal operators
``Below`` and ``Equal``; ``offset_mask.py`` lowers them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.emit import attribute, fixed_shape, operand
from gagrad_export.lower.offset_mask import padded

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


def lower_max_pool(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered MaxPoolInputGradient ``node``: dx, the gradient by the pooling's input."""
    x, y, dy = (operand(node, i) for i in range(3))
    pooling = _Pooling(**{name: attribute(node, name) for name in _Pooling.__dataclass_fields__})
    wide = [axis for axis, length in enumerate(pooling.kernel_shape) if length > 1]
    if len(wide) < 2:
        return _along_one_axis(op, x, y, dy, pooling)
    # An axis with a window of 1 may still have a stride, so the others are all but the last wide one.
    others = pooling.only([axis for axis in range(len(pooling.kernel_shape)) if axis != wide[-1]])
    last = pooling.only([wide[-1]])
    between = last.pooled(op, x)
    between_gradient = op.internal("MaxPoolInputGradient", [between, y, dy], like=between, **asdict(others))
    return op.internal("MaxPoolInputGradient", [x, between, between_gradient], like=x, **asdict(last))


@dataclass(frozen=True)
class _Pooling:
    """The attributes of a pooling, in elements, one number per spatial axis."""

    kernel_shape: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[int]
    """Padding before the first element of each axis, then after the last element of each axis."""

    def only(self, axes: list[int]) -> _Pooling:
        """Return the pooling along ``axes`` only: window 1, stride 1 and no padding along the other axes."""
        rank = len(self.kernel_shape)
        along = [axis in axes for axis in range(rank)]
        kernel, strides, dilations = (
            [length if there else 1 for length, there in zip(lengths, along, strict=True)]
            for lengths in (self.kernel_shape, self.strides, self.dilations)
        )
        pads = [length if there else 0 for length, there in zip(self.pads, along * 2, strict=True)]
        return _Pooling(kernel, strides, dilations, pads)

    def pooled(self, op: Op, x: ir.Value) -> ir.Value:
        """Return the maxima of ``x``.

        If the padding is as long as the window, ``x`` is padded first, because engines refuse such a MaxPool.
        """
        attributes = asdict(self)
        if any(pad >= length for pad, length in zip(self.pads, self.kernel_shape * 2, strict=True)):
            x, attributes["pads"] = padded(op, x, self.pads), [0] * len(self.pads)
        return op.MaxPool(x, **attributes)


def _along_one_axis(op: Op, x: ir.Value, y: ir.Value, dy: ir.Value, pooling: _Pooling) -> ir.Value:
    kernel, channels = pooling.kernel_shape, fixed_shape(x)[0]
    window = {"strides": pooling.strides, "dilations": pooling.dilations, "pads": pooling.pads}
    size = math.prod(kernel)
    left, placed = dy, []
    for k, tap in enumerate(np.eye(size, dtype=np.float32).reshape(size, 1, 1, *kernel)):
        taken = left
        if k < size - 1:
            where = {"kernel_shape": kernel, "offset": k, **window}
            taken = op.Mul(left, op.internal("Equal", [x, y], like=y, **where))
            left = op.Mul(left, op.internal("Below", [x, y], like=y, **where))
        inputs = [taken, op.constant(np.repeat(tap, channels, axis=0), like=x)]
        placed.append(op.internal("ConvInputGradient", inputs, like=x, group=channels, **window))
    return reduce(op.Add, placed)
