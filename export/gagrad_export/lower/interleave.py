"""The internal operators Interleave (join the pixel phases of an image) and Phase (take one phase of it).

Phase f of an axis with stride s holds the elements s·m + f, for f = 0 … s − 1.

``Interleave(p₀, p₁, …; strides)`` takes element s·m + f of each axis from element m of part f. With strides
(2, 2) the parts are in the order f = (0, 0), (0, 1), (1, 0), (1, 1). A missing part is zero. Elements beyond
the output's size are dropped. After: Concat along a new last axis, one spatial axis at a time, the last axis
first. Engines copy that fast; DepthToSpace and a transposition over six axes are slow.

``Phase(x; strides, phase)`` is part f of x. After: a depthwise Conv with these strides and one tap, which
stays in the blocked layout of the surrounding convolutions; a Slice with steps does not. After, for TensorRT:
Slice with steps.
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

    Key = tuple[int, ...]


def keys(strides: Sequence[int]) -> list[Key]:
    """Return the phases f, one index per spatial axis, in the order of Interleave's inputs."""
    return list(product(*map(range, strides)))


def lower_interleave(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered Interleave ``node``: Unsqueeze, Concat and Reshape for each axis."""
    strides, size = attribute(node, "strides"), fixed_shape(node.outputs[0])[1:]
    parts: dict[Key, ir.Value | None] = dict(zip(keys(strides), node.inputs, strict=True))
    for axis in reversed(range(len(strides))):
        finer = {key: [(*key, f) for f in range(strides[axis])] for key in keys(strides[:axis])}
        parts = {key: _joined(op, [parts[k] for k in group], 2 + axis) for key, group in finer.items()}
    whole = parts[()]
    assert whole is not None  # noqa: S101 - some part is there
    have = fixed_shape(whole)[1:]
    odd = [i for i in range(len(size)) if size[i] != have[i]]
    if not odd:
        return whole
    return op.Slice(whole, [0] * len(odd), [size[i] for i in odd], [2 + i for i in odd])


def lower_phase(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered Phase ``node`` as a depthwise Conv whose window ends at its only non-zero tap."""
    x, strides, phase = operand(node, 0), attribute(node, "strides"), attribute(node, "phase")
    channels, *size = fixed_shape(x)
    tap = np.zeros([channels, 1, *(f + 1 for f in phase)], np.float32)
    index = (slice(None), slice(None), *phase)
    tap[index] = 1
    # Every phase gets as many pixels as phase 0; a pixel beyond the image is zero.
    pads = [max(0, f - (n - 1) % s) for n, s, f in zip(size, strides, phase, strict=True)]
    return op.Conv(x, op.constant(tap, like=x), pads=[0] * len(size) + pads, strides=strides, group=channels)


def lower_phase_by_slice(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered Phase ``node`` as Slice with steps; an element beyond the image is zero."""
    x, strides = operand(node, 0), attribute(node, "strides")
    size = fixed_shape(x)[1:]
    over = [-length % stride for length, stride in zip(size, strides, strict=True)]
    if any(over):
        x = op.Pad(x, [0] * (4 + len(size)) + over)
    axes = [2 + i for i in range(len(size))]
    ends = [length + more for length, more in zip(size, over, strict=True)]
    return op.Slice(x, list(attribute(node, "phase")), ends, axes, strides)


def _joined(op: Op, phases: list[ir.Value | None], axis: int) -> ir.Value | None:
    """Return the value whose element s·m + f along ``axis`` is element m of phase f."""
    known = next((phase for phase in phases if phase is not None), None)
    if known is None or len(phases) == 1:
        return known
    zero = op.Mul(known, 0.0) if None in phases else None
    apart = [op.Unsqueeze(zero if phase is None else phase, [axis + 1]) for phase in phases]
    shape = fixed_shape(known)
    shape[axis - 1] *= len(phases)
    return op.Reshape(op.Concat(*apart, axis=axis + 1), [0, *shape])
