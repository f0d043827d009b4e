"""RoiAlign as two matrix products for each region: bilinear weights of rows and of columns.

Before: ``RoiAlign(x [1, C, H, W], regions [R, 4])``. After: ``y[r, c] = A[r]·x[c]·B[r]ᵀ``, where A is
``[R, h, H]`` and B ``[R, w, W]``. A point between pixels is read with weights max(0, 1 − distance), a factor
for each axis; a bin's value is the mean over its points, which form a grid, and so a mean along each axis.

For regions that are fixed, A and B are constants. For computed ones they are differentiated like the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.canonicalise.rewrite.writing import Rewriting, not_rewritten
from gagrad_export.emit import as_float, attribute, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op


class ReplaceRoiAlign(Rewriting):
    """Rewrites every RoiAlign. Raises UnsupportedOperatorError for the forms that ``limits`` leaves out."""

    operators = ("RoiAlign",)
    limits = "mode avg; regions of one image; sampling_ratio 0 for fixed regions alone"

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value]:
        """Return y ``[R, C, h, w]``."""
        return [_aligned(op, node)]


def _aligned(op: Op, node: ir.Node) -> ir.Value:
    x, regions = operand(node, 0), operand(node, 1)
    rows, channels, *size = static_shape(x)
    images = evaluated(operand(node, 2), op.opset)
    if rows != 1 or images is None or images.any():
        raise not_rewritten(node, "its regions lie in several images; export the model with a batch of 1")
    if attribute(node, "mode", "avg") != "avg":
        raise not_rewritten(node, "of its mode max, engines do not tell where the maximum was")
    count = static_shape(regions)[0]
    # A region is x₁, y₁, x₂, y₂.
    down, along = (_weights(op, node, regions, axis, size[axis]) for axis in (0, 1))
    down = op.Unsqueeze(down, [0, 2])
    along = op.Unsqueeze(op.Transpose(along, perm=[0, 2, 1]), [0, 2])
    y = op.MatMul(op.MatMul(down, op.Unsqueeze(x, [1])), along)
    return op.Reshape(y, [count, channels, *static_shape(y)[-2:]])


def _weights(op: Op, node: ir.Node, regions: ir.Value, axis: int, size: int | None) -> ir.Value:
    """Return the weights ``[R, bins, size]`` along a spatial axis: how much of each pixel a bin holds."""
    bins = attribute(node, ("output_height", "output_width")[axis], 1)
    half = attribute(node, "coordinate_transformation_mode", "half_pixel") == "half_pixel"

    def end(column: int) -> ir.Value:
        scaled = op.Mul(op.Slice(regions, [column], [column + 1], [1]), attribute(node, "spatial_scale", 1.0))
        return op.Unsqueeze(op.Sub(scaled, 0.5) if half else scaled, [2])

    start, stop = end(1 - axis), end(3 - axis)
    length = op.Sub(stop, start) if half else op.Max(op.Sub(stop, start), 1.0)
    bin_length = op.Mul(length, 1 / bins)
    points = _points(op, node, bin_length)
    most = max(int(points.max()), 1)
    ticks = np.arange(bins)[:, None] + (np.arange(most) + 0.5) / np.maximum(points, 1)[..., None]
    # [R, bins, most]
    place = op.Add(start, op.Mul(bin_length, op.constant(ticks.reshape(-1, bins, most), like=regions)))
    assert size is not None  # noqa: S101 - only the batch may be unknown
    pixels = op.constant(np.arange(size, dtype=np.float64), like=regions)
    nearest = op.Unsqueeze(op.Clip(place, 0.0, float(size - 1)), [3])
    weights = op.Relu(op.Sub(1.0, op.Abs(op.Sub(nearest, pixels))))
    # More than a pixel outside, a point counts as zero.
    inside = op.And(op.GreaterOrEqual(place, -1.0), op.LessOrEqual(place, float(size)))
    counted = (np.arange(most) < points) / np.maximum(points, 1)
    share = op.Mul(as_float(op, inside, regions), counted)
    return op.ReduceSum(op.Mul(weights, op.Unsqueeze(share, [3])), [2], keepdims=0)


def _points(op: Op, node: ir.Node, bin_length: ir.Value) -> NDArray[np.floating]:
    """Return the number of points in a bin, ``[R or 1, 1, 1]``: given for all regions, or one per pixel."""
    ratio = attribute(node, "sampling_ratio", 0)
    if ratio > 0:
        return np.full((1, 1, 1), float(ratio))
    lengths = evaluated(bin_length, op.opset)
    if lengths is None:
        raise not_rewritten(node, "with sampling_ratio 0, computed regions decide how many points it reads")
    points: NDArray[np.floating] = np.ceil(lengths)
    return points
