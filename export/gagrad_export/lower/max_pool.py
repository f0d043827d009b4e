"""The gradient of max pooling without MaxPool's index output, which compilers refuse.

Before: ``MaxPoolInputGradient(x, y, dy)``, with the attributes of the forward pooling.

After: for each offset u of the window, the strided slice x[s·i + d·u − p] is compared with y[i]; the first
match in row order takes dy[i] (a running "still free" mask), as in PyTorch. The matched part belongs to the
pixels s·i + d·u − p. Written as a = d·u = s·m + f, it is added into phase f of the result, m places later:
s phases per axis, interleaved at the end by a reshape. Everything is Slice, Pad, compare, Add, Reshape.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.emit import attribute, fixed_shape, operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from gagrad_export.emit import Op

LOWEST = float(np.finfo(np.float32).min)


def lower_max_pool(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered input gradient of a max pooling."""
    x, y, dy = (operand(node, i) for i in range(3))
    kernel, strides = attribute(node, "kernel_shape"), attribute(node, "strides")
    dilations, pads = attribute(node, "dilations"), attribute(node, "pads")
    rank = len(kernel)
    axes = list(range(2, 2 + rank))
    size, pooled = fixed_shape(x)[1:], fixed_shape(y)[1:]
    # Every phase holds as many elements as the longest shift needs; cropped at the end.
    length = [pooled[i] + (dilations[i] * (kernel[i] - 1)) // strides[i] + 1 for i in range(rank)]
    length = [max(length[i], -(-(pads[i] + size[i]) // strides[i])) for i in range(rank)]
    after = [max(length[i] * strides[i] - pads[i] - size[i], 0) for i in range(rank)]
    padded = op.Pad(x, [0, 0, *pads[:rank], 0, 0, *after], op.constant(LOWEST, like=x))
    phases: dict[tuple[int, ...], ir.Value] = {}
    free: ir.Value | None = None
    for offset in product(*(range(k) for k in kernel)):
        first = [dilations[i] * offset[i] for i in range(rank)]
        last = [first[i] + (pooled[i] - 1) * strides[i] + 1 for i in range(rank)]
        matches = op.Equal(op.Slice(padded, first, last, axes, list(strides)), y)
        taken = matches if free is None else op.And(matches, free)
        free = op.Not(matches) if free is None else op.And(free, op.Not(matches))
        part = op.Mul(dy, op.CastLike(taken, dy))
        shift = [first[i] // strides[i] for i in range(rank)]
        room = [length[i] - pooled[i] - shift[i] for i in range(rank)]
        placed = op.Pad(part, [0, 0, *shift, 0, 0, *room])
        phase = tuple(first[i] % strides[i] for i in range(rank))
        phases[phase] = op.Add(phases[phase], placed) if phase in phases else placed
    whole = _interleaved(op, phases, strides, length, fixed_shape(y)[0])
    begin = pads[:rank]
    return op.Slice(whole, begin, [begin[i] + size[i] for i in range(rank)], axes)


def _interleaved(
    op: Op, phases: dict[tuple[int, ...], ir.Value], strides: Sequence[int], length: list[int], channels: int
) -> ir.Value:
    """Return the value whose element s·i + f along each axis is element i of phase f."""
    if all(stride == 1 for stride in strides):
        return phases[(0,) * len(strides)]
    some = next(iter(phases.values()))
    zero = op.expand_like(op.constant(0.0, like=some), some)
    parts = [op.Unsqueeze(phases.get(key, zero), [2]) for key in product(*(range(s) for s in strides))]
    rank = len(strides)
    stacked = op.Reshape(op.Concat(*parts, axis=2), [0, channels, *strides, *length])
    order = [axis for i in range(rank) for axis in (2 + rank + i, 2 + i)]
    spread = op.Transpose(stacked, perm=[0, 1, *order])
    return op.Reshape(spread, [0, channels, *(n * s for n, s in zip(length, strides, strict=True))])
