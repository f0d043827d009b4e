"""The adjoint of selecting elements along an axis: each cotangent is added where its element came from.

y[k] = x[index[k]]  ⟹  dx[i] = Σ dy[k] over the k with index[k] = i. This is a scatter with a sum, which
engines lack or run slowly. So it is written as padding, as a gather through the inverse index table, or as a
product with a matrix of zeros and ones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.emit import static_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op

TO_THE_END = 2**31 - 1
"""End of a Slice that reaches to the end of the axis; exporters write this number or a larger one."""
LARGEST_ONE_HOT = 1 << 24
"""Elements per sample of a computed one-hot matrix: 64 MB in float32."""


def put_back(op: Op, dy: ir.Value, axis: int, indices: NDArray[np.int64], size: int) -> ir.Value:
    """Return dx for y = x[indices] along ``axis``; x has ``size`` elements there and all indices are ≥ 0."""
    count = len(indices)
    steps = np.unique(np.diff(indices)) if count > 1 else np.ones(1, np.int64)
    if len(steps) == 1 and steps[0] != 0:
        first, step = int(indices[0]), int(steps[0])
        return put_back_range(op, dy, {axis: (range(first, first + step * count, step), size)})
    occurrences = np.bincount(indices, minlength=size)
    width = int(occurrences.max())
    if width > 1 and count <= 16 * width:
        # At most 16 multiplications for each element that a gather would copy; the table may be mostly empty.
        one_hot = np.zeros((size, count), np.float32)
        one_hot[indices, np.arange(count)] = 1
        return multiply_along(op, op.constant(one_hot, like=dy), dy, axis)
    # Row i of the table lists the positions k with indices[k] = i. Empty entries point at a padded zero.
    table = np.full((size, width), count)
    order = np.argsort(indices, kind="stable")
    column = np.arange(count) - np.repeat(occurrences.cumsum() - occurrences, occurrences)
    table[indices[order], column] = order
    if occurrences.min() < width:
        dy = padded(op, dy, {axis: (0, 1)})
    if width == 1:
        return op.Gather(dy, table[:, 0], axis=axis)
    return op.ReduceSum(op.Gather(dy, table, axis=axis), [axis + 1], keepdims=0)


def put_back_range(op: Op, dy: ir.Value, taken: Mapping[int, tuple[range, int]]) -> ir.Value:
    """Return dx for y = x[range] along each axis of ``taken``: axis → (range, size of x).

    dx is zero where x was not selected. For a step s, s − 1 zeros follow each element.
    """
    borders = {}
    for axis, (elements, size) in taken.items():
        ascending = elements
        if elements.step < 0:
            dy, ascending = reverse(op, dy, axis), elements[::-1]
        dy = _spread(op, dy, axis, ascending.step)
        behind = size - ascending.start - len(ascending) * ascending.step
        borders[axis] = (ascending.start, behind)
    return padded(op, dy, borders)


def reverse(op: Op, value: ir.Value, axis: int) -> ir.Value:
    """Return ``value`` with its elements along ``axis`` in reverse order."""
    return op.Slice(value, [-1], [-TO_THE_END], [axis], [-1])


def padded(op: Op, value: ir.Value, borders: Mapping[int, tuple[int, int]]) -> ir.Value:
    """Return ``value`` padded with zeros (positive border) or cropped (negative border).

    ``borders`` maps an axis to the number of elements before and after. Padding and cropping are two
    operators because compilers refuse a Pad with negative numbers.
    """
    cropped = {axis: border for axis, border in borders.items() if min(border) < 0}
    if cropped:
        starts = [max(-before, 0) for before, _ in cropped.values()]
        ends = [min(after, 0) or TO_THE_END for _, after in cropped.values()]
        value = op.Slice(value, starts, ends, list(cropped))
    rank = len(static_shape(value))
    pads = [max(borders.get(axis, (0, 0))[side], 0) for side in (0, 1) for axis in range(rank)]
    return op.Pad(value, pads) if any(pads) else value


def one_hot(op: Op, node: ir.Node, indices: ir.Value, size: int, like: ir.Value) -> ir.Value:
    """Return the matrices ``[…, size, K]`` with a 1 at (indices[…, k], k), for computed ``indices [..., K]``.

    Negative indices count from the end. Raises UnsupportedOperatorError if a matrix would be too large.
    """
    dims = [dim for dim in static_shape(indices) if dim is not None]
    if math.prod(dims) * size > LARGEST_ONE_HOT:
        raise not_fixed(node, f"{math.prod(dims)} computed indices into {size} elements are too many")
    assert like.dtype is not None  # noqa: S101 - emitted values are typed
    wrapped = op.Unsqueeze(op.Mod(op.Cast(indices, to=7), np.array(size)), [-2])
    return op.Cast(op.Equal(wrapped, np.arange(size)[:, None]), to=int(like.dtype))


def multiply_along(op: Op, matrices: ir.Value, value: ir.Value, axis: int) -> ir.Value:
    """Return ``matrices @ value`` with the product along ``axis`` of ``value``; later axes stay."""
    before, after = static_shape(value)[:axis], static_shape(value)[axis + 1 :]
    count = static_shape(matrices)[-1]
    columns = reshape(op, value, [*before, count, folded(after)], kept=axis)
    product = op.MatMul(matrices, columns)
    return reshape(op, product, [*before, static_shape(matrices)[-2], *after], kept=axis)


def reshape(op: Op, value: ir.Value, shape: Sequence[int | None], kept: int = 0) -> ir.Value:
    """Return ``value`` in ``shape``, which has the first ``kept`` axes of ``value``.

    These axes may be unknown, and so may one other.
    """
    if list(shape) == static_shape(value):
        return value
    target = [(0 if i < kept else -1) if dim is None else dim for i, dim in enumerate(shape)]
    assert target.count(-1) <= 1, f"{value.name} has more than one unknown dimension"  # noqa: S101
    return op.Reshape(value, target)


def folded(dims: Sequence[int | None]) -> int | None:
    """Return the size of one axis that several axes are merged into; None if any of them is unknown."""
    known = [dim for dim in dims if dim is not None]
    return math.prod(known) if len(known) == len(dims) else None


def fixed(node: ir.Node, dims: Sequence[int | None], what: str) -> list[int]:
    """Return ``dims``. Raises UnsupportedOperatorError if one of them is unknown."""
    known = [dim for dim in dims if dim is not None]
    if len(known) != len(dims):
        raise not_fixed(node, f"{what} has no fixed size")
    return known


def not_fixed(node: ir.Node, why: str) -> UnsupportedOperatorError:
    """Return the error for a size, shape or index that must be constant but is computed in the graph."""
    return UnsupportedOperatorError(
        f"operator {node.op_type} cannot be differentiated here: {why}",
        where=f"node {node.name!r}",
        hint="fix the model's input size with `size`, and export the model with constant shapes and indices",
    )


def _spread(op: Op, dy: ir.Value, axis: int, step: int) -> ir.Value:
    """Return ``dy`` with ``step − 1`` zeros after each element along ``axis``."""
    if step == 1:
        return dy
    before, (size, *after) = static_shape(dy)[:axis], static_shape(dy)[axis:]
    assert size is not None  # noqa: S101 - a range of a fixed size
    spread = padded(op, op.Unsqueeze(dy, [axis + 1]), {axis + 1: (0, step - 1)})
    return reshape(op, spread, [*before, size * step, *after], kept=axis)
