"""The exact k-th smallest of many non-negative float32 values without sorting.

Compilers limit TopK (TensorRT: 3840 elements), but every compiler can count. The k-th smallest is the largest
c with #(x < c) ≤ k. It is found from the most significant digit down, as a radix sort goes: first its power
of two, then its mantissa bits. Each pass compares a few candidates above the current lower bound and keeps
the largest that has at most k values below it. Every candidate is exact in float32, so the result is exact
too, also with ties, zeros and denormals.

Cost: 15 passes, 60 comparisons per value; nothing grows with k.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op

_EXPONENTS = range(-149, 128)
_BITS = 2
"""Mantissa bits per pass: with 2, a pass compares each value with 3 candidates."""


def kth_smallest(op: Op, values: ir.Value, rank: ir.Value) -> ir.Value:
    """Return the ``rank``-th smallest (from 0) of ``values [R, n]`` ≥ 0 as ``[R, 1]``.

    ``rank`` is a float32 whole number, ``[]`` or ``[R, 1]``.
    """
    coarse = np.float32(2.0) ** np.arange(_EXPONENTS.start, _EXPONENTS.stop, 16, dtype=np.float32)
    bound = _largest(op, values, rank, op.constant(coarse[None, :].astype(np.float32)), None)
    for stride in (4, 1):
        factors = np.float32(2.0) ** (stride * np.arange(1, 4, dtype=np.float32))
        bound = _largest(op, values, rank, op.Mul(bound, factors[None, :]), bound)
    power = bound
    for first in range(0, 24, _BITS):
        steps = np.arange(1, 2**_BITS, dtype=np.float32) * np.float32(2.0) ** -(first + _BITS)
        candidates = op.Add(bound, op.Mul(power, steps[None, :].astype(np.float32)))
        bound = _largest(op, values, rank, candidates, bound)
    return bound


def interpolated(op: Op, values: ir.Value, rank: ir.Value, weight: ir.Value) -> ir.Value:
    """Return the value between the ``rank``-th and the next smallest of ``values [R, n]``, as ``[R, 1]``.

    ``weight`` in 0..1 is the share of the upper one. The same two forms as ``reference.quantile``.
    """
    low = kth_smallest(op, values, rank)
    not_above = _count(op, op.LessOrEqual(values, low))
    above = op.Where(op.Greater(values, low), values, np.float32(np.inf))
    following = op.ReduceMin(above, [1], keepdims=1)
    high = op.Where(op.GreaterOrEqual(not_above, op.Add(rank, 2.0)), low, following)
    # The last value has no successor, and inf·0 would be NaN.
    high = op.Where(op.Equal(weight, 0.0), low, high)
    span = op.Sub(high, low)
    from_low = op.Add(low, op.Mul(weight, span))
    from_high = op.Sub(high, op.Mul(span, op.Sub(1.0, weight)))
    return op.Where(op.Less(weight, 0.5), from_low, from_high)


def _largest(
    op: Op, values: ir.Value, rank: ir.Value, candidates: ir.Value, bound: ir.Value | None
) -> ir.Value:
    """Return the largest of ``candidates [R, J]`` with at most ``rank`` values below; else ``bound`` (0)."""
    below = _count(op, op.Less(op.Unsqueeze(values, [1]), op.Unsqueeze(candidates, [2])))
    possible = op.LessOrEqual(op.Squeeze(below, [2]), rank)
    best = op.ReduceMax(op.Where(possible, candidates, 0.0), [1], keepdims=1)
    return best if bound is None else op.Max(best, bound)


def _count(op: Op, mask: ir.Value) -> ir.Value:
    """Return how many are true along the last axis, as float32: exact up to 2^24 values."""
    return op.ReduceSum(op.Cast(mask, to=1), [-1], keepdims=1)
