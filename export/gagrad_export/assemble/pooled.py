"""The guide ``pooled`` in ONNX: the statistics of ``gagrad_edge.method.pooled``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.method.pooled import (
    COARSE,
    COARSE_SAMPLES,
    FINE,
    FINE_SAMPLES,
    MAGNITUDE_FLOOR,
    PERIOD,
    TINY,
    VARIANCE_FLOOR,
    VARIANCE_SAMPLES,
)
from gagrad_export.emit import static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


def pooled(op: Op, count: ir.Value, abs_sum: ir.Value, variance: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Return Â and V̂, ``[C, H, W]`` each, from Σ|g| and Var(g) of ``count`` samples."""
    log = _logarithm(op, abs_sum, MAGNITUDE_FLOOR)
    grid = _grid_mean(op, op.Sub(log, _tent(op, log, COARSE)))
    level = op.Sub(log, grid)
    fine, coarse = _tent(op, level, FINE), _tent(op, level, COARSE)
    estimate = op.Add(grid, coarse)
    estimate = op.Add(estimate, op.Mul(_weight(op, count, COARSE_SAMPLES), op.Sub(fine, coarse)))
    estimate = op.Add(estimate, op.Mul(_weight(op, count, FINE_SAMPLES), op.Sub(level, fine)))
    twice = op.Mul(log, 2.0)
    excess = op.Sub(_logarithm(op, variance, VARIANCE_FLOOR), twice)
    mean = op.ReduceMean(excess, [1, 2], keepdims=1)
    weight = _weight(op, op.Max(op.Sub(count, 1.0), 0.0), VARIANCE_SAMPLES)
    spread = op.Add(op.Add(op.Mul(estimate, 2.0), mean), op.Mul(weight, op.Sub(excess, mean)))
    return op.Exp(estimate), op.Exp(spread)


def _weight(op: Op, count: ir.Value, samples: int) -> ir.Value:
    return op.Div(count, op.Add(count, float(samples)))


def _logarithm(op: Op, x: ir.Value, floor: float) -> ir.Value:
    lowest = op.Max(op.Mul(op.ReduceMean(x, [1, 2], keepdims=1), floor), TINY)
    return op.Log(op.Max(x, lowest))


def _tent(op: Op, x: ir.Value, k: int) -> ir.Value:
    """``gagrad_edge.method.pooled.tent`` by separate means over rows and columns: 4·k additions per pixel."""
    x = op.Unsqueeze(x, [0])
    for _ in range(2):
        for kernel, pads in (([k, 1], [k // 2, 0, k // 2, 0]), ([1, k], [0, k // 2, 0, k // 2])):
            x = op.AveragePool(x, kernel_shape=kernel, pads=pads)
    return op.Squeeze(x, [0])


def _grid_mean(op: Op, x: ir.Value) -> ir.Value:
    channels, height, width = (size or 0 for size in static_shape(x))
    rows, columns = -(-height // PERIOD), -(-width // PERIOD)
    below, right = rows * PERIOD - height, columns * PERIOD - width
    number = np.pad(np.ones((height, width), np.float32), ((0, below), (0, right)))
    number = number.reshape(rows, PERIOD, columns, PERIOD).sum(axis=(0, 2))
    share = (1 / np.maximum(number, 1)).astype(np.float32)[None, :, None, :]
    # Rank 4: the channels lie side by side in the first axis, rows of tiles in the second.
    tiles = op.Reshape(op.Pad(x, [0, 0, 0, 0, below, right]), [channels * rows, PERIOD, columns, PERIOD])
    total = op.ReduceSum(tiles, [2], keepdims=1)
    total = op.ReduceSum(op.Reshape(total, [channels, rows, PERIOD, PERIOD]), [1], keepdims=1)
    mean = op.Mul(op.Reshape(total, [channels, PERIOD, 1, PERIOD]), share)
    wide = op.Tile(op.Reshape(mean, [channels, PERIOD, PERIOD]), [1, rows, columns])
    return op.Slice(wide, [0, 0], [height, width], [1, 2])
