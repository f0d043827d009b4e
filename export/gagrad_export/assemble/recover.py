"""``recover``: the image and its map → the P partly recovered images and the mass each keeps (for RCAP)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.abi import IMAGE, RATIO, RECOVERED, SALIENCY, Sizes
from gagrad_edge.method.reference import rcap_levels, threshold_index
from gagrad_export.assemble.graph import finish_graph, start_graph
from gagrad_export.assemble.order_statistic import kth_smallest

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_export.emit import Op


def recover_graph(shape: tuple[int, int, int], lower_bound: float, interval: float) -> GraphFile:
    """Return the graph ``recover`` for images of ``shape = (C, H, W)``.

    As ``gagrad_edge.method.reference.recover``: the levels, and so P, are fixed by ``lower_bound``
    and ``interval``.
    """
    levels = rcap_levels(lower_bound, interval)
    sizes = Sizes(shape, levels=len(levels))
    op, inputs = start_graph("recover", sizes)
    image, saliency = inputs[IMAGE], inputs[SALIENCY]
    _, height, width = shape
    pixels = height * width
    ranks = np.array([[threshold_index(pixels, level)] for level in levels], np.float32)
    row = op.Reshape(saliency, [1, pixels])
    spread = op.Expand(row, [len(levels), pixels])
    thresholds = kth_smallest(op, spread, op.constant(ranks))
    at_maximum = op.GreaterOrEqual(thresholds, 1.0)
    cutoffs = op.Where(at_maximum, 0.0, thresholds)
    kept = op.Cast(op.Greater(row, cutoffs), to=1)
    mass = _sum(op, op.Mul(kept, row), (height, width))
    total = _sum(op, row, (height, width))
    ratio = op.Div(mass, op.Where(op.Equal(total, 0.0), 1.0, total))
    if len(levels) > 1:
        # The first level is left out when its threshold is the maximum and all thresholds differ.
        upper = op.Slice(thresholds, [0], [len(levels) - 1], [0])
        lower = op.Slice(thresholds, [1], [len(levels)], [0])
        distinct = op.ReduceMin(op.Cast(op.Greater(upper, lower), to=1), keepdims=0)
        first = op.Slice(op.Cast(at_maximum, to=1), [0], [1], [0])
        skipped = op.Mul(first, distinct)
        head = np.zeros((len(levels), 1), np.float32)
        head[0] = 1
        skip = op.Mul(skipped, head)
        ratio = op.Where(op.Greater(skip, 0.0), -1.0, ratio)
        kept = op.Mul(kept, op.Sub(1.0, skip))
    # Once recovered, a pixel stays: the lower levels see it too.
    lower_triangle = np.tril(np.ones((len(levels), len(levels)), np.float32))
    seen = op.Cast(op.Greater(op.MatMul(lower_triangle, kept), 0.5), to=1)
    recovered = op.Mul(image, op.Reshape(seen, [len(levels), 1, height, width]))
    outputs = {RECOVERED: recovered, RATIO: op.Reshape(ratio, [len(levels)])}
    return finish_graph(op, "recover", sizes, outputs)


def _sum(op: Op, rows: ir.Value, size: tuple[int, int]) -> ir.Value:
    """Return the sum of each row of ``rows [R, H·W]`` as ``[R, 1]``.

    Over lines first, then over the lines' sums: one float32 sum over all pixels of a large image loses five
    digits in engines that add in order.
    """
    lines = op.ReduceSum(op.Reshape(rows, [-1, *size]), [2], keepdims=0)
    return op.ReduceSum(lines, [1], keepdims=1)
