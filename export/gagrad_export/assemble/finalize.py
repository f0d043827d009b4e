"""``finalize``: the running statistics → the saliency map ``[H, W]`` in 0..1, and its range before scaling.

The range ``[2]`` is the smallest and largest value of the map before it was scaled, divided by the number of
samples, because the sum of magnitudes grows with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.abi import ABS_SUM, COUNT, M2, MEAN, PERCENTILE, RANGE, SALIENCY, Sizes
from gagrad_export.assemble.graph import finish_graph, start_graph
from gagrad_export.assemble.order_statistic import interpolated
from gagrad_export.assemble.pooled import pooled

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_export.emit import Op


def finalize_graph(shape: tuple[int, int, int], guide: str = "paper") -> GraphFile:
    """Return the graph ``finalize`` for images of ``shape = (C, H, W)``.

    As ``gagrad_edge.method.reference.finalize``, the two special percentiles included. ``guide`` is one of
    ``gagrad_edge.method.reference.GUIDES``.
    """
    sizes = Sizes(shape)
    op, inputs = start_graph("finalize", sizes)
    channels, height, width = shape
    count, abs_sum, mean, m2, percentile = (inputs[name] for name in (COUNT, ABS_SUM, MEAN, M2, PERCENTILE))
    # The ABI has the whole state as input, and this map does not need the mean: an unused input would go.
    abs_sum = op.Add(abs_sum, op.Mul(op.ReduceSum(mean, keepdims=0), 0.0))
    variance = op.Div(m2, op.Max(op.Sub(count, 1.0), 1.0))
    if guide == "pooled":
        abs_sum, variance = pooled(op, count, abs_sum, variance)
    rows = op.Reshape(variance, [channels, height * width])
    rank, weight = quantile_rank(op, percentile, height * width)
    threshold = interpolated(op, rows, rank, weight)
    threshold = op.Where(op.Equal(percentile, 0.0), -1.0, threshold)
    threshold = op.Where(op.Less(percentile, 0.0), op.constant(np.float32(np.inf)), threshold)
    weights = op.Where(op.Greater(variance, op.Reshape(threshold, [channels, 1, 1])), 1.0, variance)
    total = op.ReduceSum(op.Mul(abs_sum, weights), [0], keepdims=0)
    low, high = op.ReduceMin(total, keepdims=0), op.ReduceMax(total, keepdims=0)
    extremes = op.Concat(op.Reshape(low, [1]), op.Reshape(high, [1]), axis=0)
    outputs = {SALIENCY: normalised_map(op, total, low), RANGE: op.Div(extremes, op.Max(count, 1.0))}
    return finish_graph(op, "finalize", sizes, outputs)


def normalised_map(op: Op, total: ir.Value, low: ir.Value) -> ir.Value:
    """Scale a map to 0..1; a constant map becomes ones, as 0/0 does in the authors' program."""
    shifted = op.Sub(total, low)
    span = op.ReduceMax(shifted, keepdims=0)
    constant = op.Equal(span, 0.0)
    return op.Where(constant, 1.0, op.Div(shifted, op.Where(constant, 1.0, span)))


def quantile_rank(op: Op, percentile: ir.Value, values: int) -> tuple[ir.Value, ir.Value]:
    """Return the whole part and the fraction of ``p·(n − 1)`` as if computed in float64, in float32 only.

    Compilers have no float64, and a rank just below a whole number must not be rounded up to it: one pixel
    would leave the guide. p = a/4096 + ε and n − 1 = 4096·h + l split into 12-bit parts
    whose products float32 holds exactly; only ε·(n − 1) is rounded. Exact up to n = 2^24.
    """
    p = op.Min(op.Max(percentile, 0.0), 1.0)
    high, low = divmod(values - 1, 4096)
    a = op.Floor(op.Mul(p, 4096.0))
    rest = op.Sub(p, op.Mul(a, 1 / 4096))
    coarse = op.Mul(a, float(low) / 4096)
    whole = op.Floor(coarse)
    fraction = op.Add(op.Sub(coarse, whole), op.Mul(rest, float(values - 1)))
    carry = op.Floor(fraction)
    rank = op.Add(op.Add(op.Mul(a, float(high)), whole), carry)
    return rank, op.Sub(fraction, carry)
