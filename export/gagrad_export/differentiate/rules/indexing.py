"""Operators that select elements by index. The adjoint is in ``differentiate/adjoint_gather.py``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.adjoint_gather import (
    TO_THE_END,
    fixed,
    folded,
    multiply_along,
    not_fixed,
    one_hot,
    padded,
    put_back,
    put_back_range,
    reshape,
)
from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op


@vjp("Slice", since=(10, 11, 13), limits="constant bounds")
def slice_(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = a range of x along some axes  ⟹  dx = dy at the selected elements, 0 at the others."""
    shape = static_shape(operand(node, 0))
    taken = {}
    for start, end, axis, step in zip(*_bounds(node, len(shape)), strict=True):
        if (start, step) == (0, 1) and end >= TO_THE_END:
            continue
        (size,) = fixed(node, [shape[axis]], f"axis {axis}")
        stop = None if step < 0 and end < -size else end
        taken[axis] = (range(size)[slice(start, stop, step)], size)
    return [put_back_range(op, dy, taken)]


@vjp("Gather", since=(1, 11, 13), limits="computed indices: up to 2²⁴ pairs of index and element")
def gather(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = x[…, indices, …] along an axis  ⟹  dx[…, i, …] = Σ dy[…, k, …] over the k with indices[k] = i."""
    x, indices = operand(node, 0), operand(node, 1)
    shape = static_shape(x)
    axis = attribute(node, "axis", 0) % len(shape)
    before, after = shape[:axis], shape[axis + 1 :]
    (size,) = fixed(node, [shape[axis]], f"axis {axis}")
    # The axes of ``indices`` are merged into one.
    dy = reshape(op, dy, [*before, folded(static_shape(indices)), *after], kept=axis)
    known = constant_array(indices)
    if known is not None:
        return [put_back(op, dy, axis, known.ravel() % size, size)]
    return [multiply_along(op, one_hot(op, node, op.Reshape(indices, [-1]), size, dy), dy, axis)]


@vjp("GatherElements", since=(11, 13), limits="computed indices: up to 2²⁴ pairs of index and element")
def gather_elements(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y[…, k, …] = x[…, indices[…, k, …], …]  ⟹  dx = dy added at the indices, line by line."""
    x, indices = operand(node, 0), operand(node, 1)
    shape = static_shape(x)
    axis = attribute(node, "axis", 0) % len(shape)
    known = constant_array(indices)
    if known is not None and None not in shape:
        sizes = fixed(node, shape, "the input")
        flat = put_back(op, op.Reshape(dy, [-1]), 0, element_positions(known, axis, sizes), math.prod(sizes))
        return [op.reshape_like(flat, x)]
    return [put_back_in_lines(op, node, dy, indices, axis)]


@vjp("GatherND", since=(11, 12, 13), limits="computed indices: up to 2²⁴ pairs of index and element")
def gather_nd(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y[b, k] = x[b, indices[b, k]], an index being one number per axis  ⟹  dx = dy added at the indices.

    The indexed axes are merged into one, and an index becomes one number along that axis.
    """
    x, indices = operand(node, 0), operand(node, 1)
    shape, batch = static_shape(x), attribute(node, "batch_dims", 0)
    depth = static_shape(indices)[-1]
    assert depth is not None  # noqa: S101 - onnx could not have inferred the output otherwise
    rest = folded(shape[batch + depth :])
    known = constant_array(indices)
    if known is not None and None not in shape[: batch + depth]:
        sizes = fixed(node, shape[: batch + depth], "an indexed axis")
        taken = nd_positions(known, batch, sizes)
        rows = reshape(op, dy, [len(taken), rest])
        return [op.reshape_like(put_back(op, rows, 0, taken, math.prod(sizes)), x)]
    sizes = fixed(node, shape[batch : batch + depth], "an indexed axis")
    strides = np.array([math.prod(sizes[i + 1 :]) for i in range(depth)])
    wrapped = op.Mod(op.Cast(indices, to=7), np.array(sizes))
    positions = op.ReduceSum(op.Mul(wrapped, strides), [-1], keepdims=0)
    lines = [*shape[:batch], folded(static_shape(positions)[batch:])]
    hot = one_hot(op, node, reshape(op, positions, lines, kept=batch), math.prod(sizes), dy)
    return [op.reshape_like(op.MatMul(hot, reshape(op, dy, [*lines, rest], kept=batch)), x)]


@vjp("TopK", since=(10, 11, 24), limits="computed indices: up to 2²⁴ pairs of index and element")
def top_k(op: Op, node: ir.Node, dy: ir.Value, dindices: ir.Value | None = None) -> list[ir.Value]:
    """y, indices = the k largest of x along an axis  ⟹  dx = dy at the indices, 0 elsewhere."""
    axis = attribute(node, "axis", -1) % len(static_shape(dy))
    return [put_back_in_lines(op, node, dy, node.outputs[1], axis)]


@vjp("Compress", since=(9, 11), limits="a constant condition")
def compress(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = the elements of x where a condition holds  ⟹  dx = dy there and 0 elsewhere."""
    x, condition = operand(node, 0), constant_array(node.inputs[1])
    if condition is None:
        raise not_fixed(node, "the condition is computed, so the size of the output is unknown")
    axis, taken = attribute(node, "axis"), np.flatnonzero(condition)
    if axis is None:
        size = math.prod(fixed(node, static_shape(x), "the input"))
        return [op.reshape_like(put_back(op, dy, 0, taken, size), x)]
    axis %= len(static_shape(x))
    return [put_back(op, dy, axis, taken, *fixed(node, [static_shape(x)[axis]], f"axis {axis}"))]


@vjp("Trilu", since=14)
def trilu(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = x above (or below) a diagonal, 0 elsewhere  ⟹  dx = dy above (or below) it, 0 elsewhere."""
    return [op.Trilu(dy, *node.inputs[1:], upper=attribute(node, "upper", 1))]


@vjp("ReverseSequence", since=10)
def reverse_sequence(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = x with the beginning of each sequence reversed  ⟹  dx = dy with the same beginnings reversed."""
    axes = {name: attribute(node, name, default) for name, default in (("batch_axis", 1), ("time_axis", 0))}
    return [op.ReverseSequence(dy, node.inputs[1], **axes)]


def put_back_in_lines(op: Op, node: ir.Node, dy: ir.Value, indices: ir.Value, axis: int) -> ir.Value:
    """Return dx for y[…, k, …] = x[…, indices[…, k, …], …] along ``axis``, with computed indices.

    If y has fewer lines than x, dx is 0 in the lines that y lacks.
    """
    shape = static_shape(operand(node, 0))
    (size,) = fixed(node, [shape[axis]], f"axis {axis}")
    last = len(shape) - 1
    swapped = list(range(len(shape)))
    swapped[axis], swapped[last] = last, axis
    if axis != last:
        dy, indices = op.Transpose(dy, perm=swapped), op.Transpose(indices, perm=swapped)
    dx = op.Squeeze(op.MatMul(one_hot(op, node, indices, size, dy), op.Unsqueeze(dy, [-1])), [-1])
    if axis != last:
        dx = op.Transpose(dx, perm=swapped)
    have = static_shape(dx)
    # Two unknown sizes are both the batch.
    missing = {
        i: (0, full - some) for i, (full, some) in enumerate(zip(shape, have, strict=True)) if full and some
    }
    return padded(op, dx, missing)


def element_positions(indices: NDArray[np.int64], axis: int, sizes: list[int]) -> NDArray[np.int64]:
    """Return the flat positions that GatherElements or ScatterElements access in a tensor of ``sizes``."""
    coordinates = np.indices(indices.shape)
    coordinates[axis] = indices % sizes[axis]
    return np.ravel_multi_index(tuple(coordinates), sizes).reshape(-1)


def nd_positions(indices: NDArray[np.int64], batch: int, sizes: list[int]) -> NDArray[np.int64]:
    """Return the flat positions that GatherND or ScatterND access along the indexed axes, of ``sizes``."""
    own = np.indices(indices.shape[:-1])[:batch]
    named = [indices[..., i] % size for i, size in enumerate(sizes[batch:])]
    return np.ravel_multi_index((*own, *named), sizes).reshape(-1)


def _bounds(node: ir.Node, rank: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Return starts, ends, axes and steps of a Slice whose bounds are constants."""
    known = [constant_array(value) for value in node.inputs[1:]]
    if any(array is None and value is not None for array, value in zip(known, node.inputs[1:], strict=True)):
        raise not_fixed(node, "the bounds are computed")
    lists = [None if array is None else [int(item) for item in array] for array in known]
    lists += [None] * (4 - len(lists))
    starts, ends = lists[0] or [], lists[1] or []
    axes = lists[2] or list(range(len(starts)))
    return starts, ends, [axis % rank for axis in axes], lists[3] or [1] * len(starts)
