"""The input gradient of a strided convolution with few input channels, as one convolution for all phases.

Before: ``ConvInputGradient(dy, w)`` with stride s along both axes and constant weights: a network's first
layer, or the patch embedding of a transformer.

After: ``Interleave(Split(Conv(dy, w′)))``; for larger strides ``DepthToSpace(Conv(dy, w′))``. As in
``strided_convolution.py``, the pixels j = s·m + f of phase f get

    dx[s·m + f] = Σₜ w[k₀ + s·t]·dy[m + c − t],    k₀ = (f + p) mod s,  c = (f + p − k₀)/s.

Here the s² phases are output channels of one Conv at stride 1. Its window spans the offsets c − t of all
phases, and a weight is zero where a phase does not use an offset. For patches (K = s) no weight is zero. For
K = 7, s = 2 engines do 1.3 times the multiplications, but in their best kernel: a Conv with three output
channels would leave most of each vector empty, and ConvTranspose adds a pass over all columns. Interleave
copies 2 × 2 phases at least twice as fast as DepthToSpace in ONNX Runtime, and 8 × 8 phases no faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.emit import attribute, fixed_shape, operand

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op

FEW_CHANNELS = 16
"""A convolution with fewer input channels than this is lowered here: the widest vector holds 16 floats."""
LARGEST_INTERLEAVED = 4
"""Largest stride that is lowered to Split and Interleave; larger strides use DepthToSpace."""


@dataclass(frozen=True)
class _Axis:
    """The phases along one axis: which weight each phase has at each offset of dy, and the padding of dy."""

    weight: NDArray[np.int64]
    """``[s, K′]``: index into the K weights, −1 for none."""
    before: int
    """Padding of dy before its first element, in elements."""
    after: int
    """Padding of dy after its last element, in elements."""


def lower_first_convolution(op: Op, node: ir.Node, swapped: NDArray[np.float32]) -> ir.Value | None:
    """Return the lowered ConvInputGradient ``node``; None if this lowering does not apply.

    ``swapped [C, M, K, K]`` are the weights with input and output channels swapped, not yet reversed.
    """
    dy, strides = operand(node, 0), attribute(node, "strides")
    channels, *kernel = swapped.shape[:1] + swapped.shape[2:]
    few = channels < FEW_CHANNELS and attribute(node, "group") == 1
    if not few or len(kernel) != 2 or len({*strides}) != 1 or {*attribute(node, "dilations")} != {1}:
        return None
    stride, pads = strides[0], attribute(node, "pads")
    have, size = fixed_shape(dy)[1:], fixed_shape(node.outputs[0])[1:]
    rows, columns = (_axis(stride, k, p, h, n) for k, p, h, n in zip(kernel, pads, have, size, strict=False))
    if min(rows.before, rows.after, columns.before, columns.after) < 0:
        return None
    weights = _phases(_phases(swapped, rows.weight, axis=2), columns.weight, axis=4)
    # [C, M, s, K′, s, K′] → [s²·C, M, K′, K′]: phase by phase.
    weights = weights.transpose(2, 4, 0, 1, 3, 5).reshape(-1, swapped.shape[1], *weights.shape[3::2])
    pads = [rows.before, columns.before, rows.after, columns.after]
    phases = op.Conv(dy, weights, pads=pads)
    if stride <= LARGEST_INTERLEAVED:
        number = stride**2
        parts = op.emit("Split", [phases, [channels] * number], {"axis": 1}, number)
        return op.internal("Interleave", parts, like=node.outputs[0], strides=[stride, stride])
    whole = op.DepthToSpace(phases, blocksize=stride)
    if fixed_shape(whole)[1:] == size:
        return whole
    return op.Slice(whole, [0, 0], size, [2, 3])


def _axis(stride: int, kernel: int, pad: int, have: int, size: int) -> _Axis:
    """Return the phases along one axis, for ``dy`` with ``have`` and ``dx`` with ``size`` elements."""
    # Element m of phase f gets weight k times element m + o of dy, where s·o = f + p − k.
    reach = {
        (f, (f + pad - k) // stride): k
        for f in range(stride)
        for k in range((f + pad) % stride, kernel, stride)
    }
    offsets = [offset for _, offset in reach]
    first, last = min(offsets), max(offsets)
    weight = np.full((stride, last - first + 1), -1)
    for (f, offset), k in reach.items():
        weight[f, offset - first] = k
    length = -(-size // stride)
    return _Axis(weight, before=-first, after=length - have + last)


def _phases(weights: NDArray[np.float32], index: NDArray[np.int64], axis: int) -> NDArray[np.float32]:
    """Return ``weights`` with ``axis`` replaced by the two axes of ``index``; zero where ``index`` is −1."""
    zero = np.zeros_like(weights.take([0], axis))
    return np.concatenate([weights, zero], axis).take(index, axis)
