"""Tensors taken apart into the pixels of even and odd index along each spatial axis, and put together again.

``Interleave(p₀, p₁, …)`` has element (2·m + f) of each axis from element m of part f; with two axes the parts
are those of f = (0, 0), (0, 1), (1, 0), (1, 1). A part that is absent is zero. What exceeds the output is
dropped. After: Concat along a new last axis, axis by axis, the last one first. Engines copy that fast, where
DepthToSpace and a transposition over six axes are slow.

``Phase(x; f)`` is the part f of x. After: a depthwise Conv of stride 2 with one tap, which stays in the
blocked layout of the convolutions around, where Slice with steps does not.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.emit import attribute, fixed_shape, operand

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from gagrad_export.emit import Op

    Key = tuple[int, ...]

STRIDE = 2


def keys(rank: int) -> list[Key]:
    """Return the phases over ``rank`` axes, in the order of Interleave's inputs."""
    return list(product(range(STRIDE), repeat=rank))


def lower_interleave(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered Interleave."""
    size = fixed_shape(node.outputs[0])[1:]
    rank = len(size)
    parts: Mapping[Key, ir.Value | None] = dict(zip(keys(rank), node.inputs, strict=True))
    for axis in reversed(range(rank)):
        halves = {key: ((*key, 0), (*key, 1)) for key in keys(axis)}
        parts = {key: _joined(op, parts[even], parts[odd], 2 + axis) for key, (even, odd) in halves.items()}
    whole = parts[()]
    assert whole is not None  # noqa: S101 - some part is there
    have = fixed_shape(whole)[1:]
    odd = [i for i in range(rank) if size[i] != have[i]]
    if not odd:
        return whole
    return op.Slice(whole, [0] * len(odd), [size[i] for i in odd], [2 + i for i in odd])


def lower_phase(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered Phase."""
    x, key = operand(node, 0), attribute(node, "phase")
    channels, *size = fixed_shape(x)
    tap = np.zeros([channels, 1, *[STRIDE] * len(size)], np.float32)
    index = (slice(None), slice(None), *key)
    tap[index] = 1
    pads = [0] * len(size) + [length % STRIDE for length in size]
    return op.Conv(x, op.constant(tap, like=x), pads=pads, strides=[STRIDE] * len(size), group=channels)


def _joined(op: Op, even: ir.Value | None, odd: ir.Value | None, axis: int) -> ir.Value | None:
    known = even if even is not None else odd
    if known is None:
        return None
    zero = op.Mul(known, 0.0) if even is None or odd is None else None
    both = [op.Unsqueeze(zero if part is None else part, [axis + 1]) for part in (even, odd)]
    shape = fixed_shape(known)
    shape[axis - 1] *= STRIDE
    return op.Reshape(op.Concat(*both, axis=axis + 1), [0, *shape])
