"""Resize as a linear map: one matrix per resized axis; row i holds the input weights of output element i.

Resize is separable, y = W₁ ⊗ W₂ ⊗ … x, and with fixed sizes its weights are constants. The adjoint of Resize
applies the transposed matrices. Source: the ONNX operator specification of Resize, versions 11 to 19.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op

    Array = NDArray[np.floating]


def resize_matrices(node: ir.Node) -> dict[int, Array]:
    """Return the matrix ``[resized, size]`` of each axis that the Resize ``node`` changes.

    Raises UnsupportedOperatorError if the sizes or the scales are computed in the graph.
    """
    sizes, resized = static_shape(operand(node, 0)), static_shape(node.outputs[0])
    scales, regions = _scales(node, sizes), _regions(node, len(sizes))
    matrices = {}
    for axis, scale in scales.items():
        size, length, region = sizes[axis], resized[axis], regions.get(axis, (0.0, 1.0))
        if size == length and (scale is None or math.isclose(scale, 1.0)) and region == (0.0, 1.0):
            continue
        if size is None or length is None:
            raise _refused(node, f"axis {axis} has no fixed size", "fix the model's input size with `size`")
        ratio = length / size if scale is None else scale
        if not regions:
            matrices[axis] = _matrix(node, size, _coordinates(node, size, length, ratio), ratio)
            continue
        x = _cropped_coordinates(node, size, length, *region)
        matrices[axis] = _matrix(node, size, np.clip(x, 0, size - 1), ratio)
        # Outside the image the result is the constant ``extrapolation_value``.
        matrices[axis][(x < 0) | (x > size - 1)] = 0
    return matrices


def reads_alike(node: ir.Node, size: int, resized: int, scales: Sequence[float]) -> bool:
    """Tell whether the Resize ``node`` reads the same elements along one axis for each of ``scales``.

    Modes other than "nearest" always do, because they are continuous in the scale. "nearest" may not, where
    an output element lies on the border between two input elements.
    """
    if attribute(node, "mode", "nearest") != "nearest":
        return True
    first, *others = (_matrix(node, size, _coordinates(node, size, resized, s), s) for s in scales)
    return all((first == other).all() for other in others)


def apply_matrices(op: Op, x: ir.Value, matrices: Mapping[int, Array]) -> ir.Value:
    """Return ``x`` multiplied along each axis of ``matrices`` by a matrix ``[new size, old size]``."""
    # The axis that shrinks most comes first, which makes the later products smaller.
    for axis, matrix in sorted(matrices.items(), key=lambda item: item[1].shape[0] / item[1].shape[1]):
        x = _apply_along(op, x, axis, matrix)
    return x


def affine_points(node: ir.Node) -> Array:
    """Return the grid points of the AffineGrid ``node``, ``[pixels, 3]``: (x, y, 1) for each pixel.

    Raises UnsupportedOperatorError if the size of the grid is computed in the graph.
    """
    lines = []
    for size in static_shape(node.outputs[0])[1:-1]:
        if size is None:
            raise _refused(node, "its size is computed", "export the model with fixed sizes")
        if attribute(node, "align_corners", 0):
            lines.append(np.linspace(-1, 1, size) if size > 1 else np.zeros(1))
        else:
            lines.append((2 * np.arange(size) + 1) / size - 1)
    axes = np.meshgrid(*lines, indexing="ij")
    return np.stack([*(axis.ravel() for axis in reversed(axes)), np.ones(axes[0].size)], axis=1)


def _apply_along(op: Op, x: ir.Value, axis: int, matrix: Array) -> ir.Value:
    dims = static_shape(x)
    if axis == len(dims) - 1:
        return op.MatMul(x, np.ascontiguousarray(matrix.T))
    if axis == len(dims) - 2:
        return op.MatMul(matrix, x)
    columns = op.MatMul(matrix, op.Reshape(x, [0] * (axis + 1) + [-1]))
    return op.Reshape(columns, [0] * (axis + 1) + [dim or 0 for dim in dims[axis + 1 :]])


def _scales(node: ir.Node, sizes: list[int | None]) -> dict[int, float | None]:
    """Return axis → scale for each axis that may change; a scale of None is the ratio of the lengths."""
    rank = len(sizes)
    axes = [axis % rank for axis in attribute(node, "axes", list(range(rank)))]
    given = [value is not None and value.shape != (0,) for value in node.inputs[2:]]
    if given[0]:
        scales = constant_array(node.inputs[2])
        if scales is None:
            raise _refused(node, "its scales are computed", "export the model with fixed sizes")
        return {axis: float(scale) for axis, scale in zip(axes, scales, strict=True)}
    policy = attribute(node, "keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return dict.fromkeys(axes)
    wanted = constant_array(node.inputs[3])
    if wanted is None or any(sizes[axis] is None for axis in axes):
        raise _refused(node, "its sizes are computed", "export the model with fixed sizes")
    ratios = [int(length) / (sizes[axis] or 1) for axis, length in zip(axes, wanted, strict=True)]
    return dict.fromkeys(axes, min(ratios) if policy == "not_larger" else max(ratios))


def _matrix(node: ir.Node, size: int, x: Array, scale: float) -> Array:
    """Return the matrix ``[resized, size]`` of one axis; ``x`` holds the input coordinate of each output."""
    mode = attribute(node, "mode", "nearest")
    if mode == "nearest":
        return np.eye(size)[np.clip(_nearest(node, x), 0, size - 1)]
    stretch = max(1.0, 1 / scale) if attribute(node, "antialias", 0) else 1.0
    radius = (2 if mode == "cubic" else 1) * stretch
    # A tap outside the image counts for the pixel at the edge, or with ``exclude_outside`` not at all.
    outside = math.ceil(radius + max(-x.min(), x.max() - (size - 1), 0))
    distance = np.abs(np.arange(-outside, size + outside) - x[:, None]) / stretch
    if mode == "cubic":
        weights = _keys(distance, attribute(node, "cubic_coeff_a", -0.75))
    else:
        weights = np.maximum(1 - distance, 0)
    matrix = weights[:, outside:-outside].copy()
    if not attribute(node, "exclude_outside", 0):
        matrix[:, 0] += weights[:, :outside].sum(axis=1)
        matrix[:, -1] += weights[:, -outside:].sum(axis=1)
    normalised: Array = matrix / matrix.sum(axis=1, keepdims=True)
    return normalised


def _coordinates(node: ir.Node, size: int, resized: int, scale: float) -> Array:
    """Return the input coordinate of each output element, after ``coordinate_transformation_mode``."""
    mode = attribute(node, "coordinate_transformation_mode", "half_pixel")
    if mode == "align_corners":
        return np.arange(resized) * ((size - 1) / max(resized - 1, 1))
    precision = _precision(node)
    i, ratio = np.arange(resized).astype(precision), precision.type(scale)
    half = precision.type(0 if mode == "asymmetric" else 0.5)
    if mode == "pytorch_half_pixel" and resized == 1:
        return np.zeros(1, precision)
    symmetric = mode == "half_pixel_symmetric"
    offset = precision.type(size / 2 * (1 - resized / (scale * size)) if symmetric else 0)
    x: Array = offset + (i + half) / ratio - half
    return x


def _precision(node: ir.Node) -> np.dtype[np.floating]:
    """Return the dtype of the coordinates: float32 for "nearest", float64 otherwise.

    Engines compute coordinates in float32, and for "nearest" the last bit decides which pixel is read.
    """
    return np.dtype(np.float32 if attribute(node, "mode", "nearest") == "nearest" else np.float64)


def _regions(node: ir.Node, rank: int) -> dict[int, tuple[float, float]]:
    """Return axis → (start, end) of the cropped region, 0..1; empty if the operator does not crop."""
    if attribute(node, "coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize":
        return {}
    bounds = constant_array(node.inputs[1])
    if bounds is None:
        raise _refused(node, "its region is computed", "crop with GridSample or Slice instead")
    axes = attribute(node, "axes", list(range(rank)))
    starts, ends = bounds.reshape(2, -1).tolist()
    return {axis % rank: (start, end) for axis, start, end in zip(axes, starts, ends, strict=True)}


def _cropped_coordinates(node: ir.Node, size: int, resized: int, start: float, end: float) -> Array:
    """Return the input coordinate of each output element for a crop from ``start`` to ``end``, 0..1."""
    precision = _precision(node)
    first, last, i = precision.type(start), precision.type(end), np.arange(resized).astype(precision)
    if resized == 1:
        return np.array([(first + last) / 2 * (size - 1)], precision)
    x: Array = first * (size - 1) + i * (last - first) * (size - 1) / (resized - 1)
    return x


def _nearest(node: ir.Node, x: Array) -> NDArray[np.int64]:
    """Return the index of the pixel that ``nearest_mode`` reads for coordinate ``x``."""
    half = x.dtype.type(0.5)
    rounded = {
        "round_prefer_floor": np.ceil(x - half),
        "round_prefer_ceil": np.floor(x + half),
        "floor": np.floor(x),
        "ceil": np.ceil(x),
    }
    index: NDArray[np.int64] = rounded[attribute(node, "nearest_mode", "round_prefer_floor")].astype(np.int64)
    return index


def _keys(distance: Array, a: float) -> Array:
    """Return Keys' cubic convolution kernel, his equation (4)."""
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    kernel: Array = np.where(d <= 1, near, np.where(d < 2, far, 0))
    return kernel


def _refused(node: ir.Node, why: str, hint: str) -> UnsupportedOperatorError:
    return UnsupportedOperatorError(
        f"operator {node.op_type} cannot be differentiated here: {why}",
        where=f"node {node.name!r}",
        hint=hint,
    )
