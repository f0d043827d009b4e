"""Which elements of a value are read: a list of positions along each axis.

Slice, Split, and Gather and GatherND with constant indices all read such a block of their data. The positions
are followed backwards through a reshape where they are a block in front of it, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.differentiate.adjoint_gather import TO_THE_END
from gagrad_export.emit import attribute, constant_array, operand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op

    Positions: TypeAlias = "NDArray[np.int64] | None"
    Block: TypeAlias = "tuple[Positions, ...]"

_LARGEST = 1 << 22
"""The most positions to follow one by one through a reshape."""


@dataclass(frozen=True)
class Read:
    """What a node reads: ``block`` of ``data``, in the shape ``shape``."""

    data: ir.Value
    block: Block
    """Positions along each axis of ``data``; None stands for the whole axis."""
    shape: list[int]


def whole(rank: int) -> Block:
    """Return the block that has all elements."""
    return (None,) * rank


def is_whole(block: Block) -> bool:
    """Tell whether ``block`` has all elements, in order."""
    return all(positions is None for positions in block)


def sizes(block: Block, shape: Sequence[int]) -> list[int]:
    """Return the shape of ``block``, which is part of a value of ``shape``."""
    return [
        extent if positions is None else len(positions)
        for positions, extent in zip(block, shape, strict=True)
    ]


def positions(found: NDArray[np.int64], extent: int) -> Positions:
    """Return ``found`` as positions along an axis; None where they are the whole axis in order."""
    return None if np.array_equal(found, np.arange(extent)) else found


def read_by(output: ir.Value) -> Read | None:
    """Return what ``output`` reads; None where it is computed, or reads no block."""
    node = output.producer()
    if node is None or node.domain != "" or not node.inputs or node.inputs[0] is None:
        return None
    data, shape = operand(node, 0), shape_of(output)
    found: Block | None = None
    if node.op_type == "Slice":
        found = _sliced(node, shape_of(data))
    elif node.op_type == "Split":
        axis = int(attribute(node, "axis", 0)) % len(shape)
        ends = list(accumulate(shape_of(value)[axis] for value in node.outputs))
        index = list(node.outputs).index(output)
        found = _along(axis, np.arange(ends[index] - shape[axis], ends[index]), shape_of(data))
    elif node.op_type == "Gather" and (indices := constant_array(node.inputs[1])) is not None:
        axis = int(attribute(node, "axis", 0)) % len(shape_of(data))
        found = _along(axis, indices.ravel() % shape_of(data)[axis], shape_of(data))
    elif node.op_type == "GatherND" and not attribute(node, "batch_dims", 0):
        found = _named(constant_array(node.inputs[1]), shape_of(data))
    return None if found is None else Read(data, found, shape)


def composed(outer: Block, read: Read) -> Block | None:
    """Return the block of ``read.data`` that ``outer``, a block of what is read, consists of."""
    inner = reshaped(outer, read.shape, sizes(read.block, shape_of(read.data)))
    if inner is None:
        return None
    return tuple(
        first if second is None else second if first is None else first[second]
        for first, second in zip(read.block, inner, strict=True)
    )


def reshaped(block: Block, shape: Sequence[int], source: Sequence[int]) -> Block | None:
    """Return the block in front of a reshape from ``source`` to ``shape``; None where it is none there."""
    if 0 in source:
        return None
    found: list[Positions] = []
    for before, behind in _groups(source, shape):
        part, extents = block[behind], list(source[before])
        if is_whole(part):
            found += [None] * len(extents)
            continue
        inner = separated(_flat(part, shape[behind]), extents)
        if inner is None:
            return None
        found += inner
    return tuple(found)


def separated(flat: NDArray[np.int64] | None, extents: Sequence[int]) -> Block | None:
    """Return the block whose positions in row-major order are ``flat``; None where they make no block."""
    if flat is None or not extents:
        return None
    named = [_ordered(axis) for axis in np.unravel_index(flat, tuple(extents))]
    if prod(map(len, named)) != len(flat):
        return None
    product = np.ravel_multi_index(np.ix_(*named), tuple(extents)).ravel()
    if not np.array_equal(product, flat):
        return None
    return tuple(positions(axis, extent) for axis, extent in zip(named, extents, strict=True))


def taken(op: Op, value: ir.Value, block: Block) -> ir.Value:
    """Return ``block`` of ``value``, by one Slice for ranges and a Gather for each other axis."""
    if (array := constant_array(value)) is not None:
        return op.constant(np.ascontiguousarray(array[np.ix_(*explicit(block, array.shape))]))
    ranges: list[tuple[int, ...]] = []
    for axis, part in enumerate(block):
        if part is None:
            continue
        steps = set(np.diff(part).tolist()) or {1}
        if len(steps) > 1 or steps == {0}:
            value = op.Gather(value, part, axis=axis)
            continue
        step, last = steps.pop(), int(part[-1])
        end = last + 1 if step > 0 else last - 1 if last else -TO_THE_END
        ranges.append((int(part[0]), end, axis, step))
    if ranges:
        columns: list[list[int]] = [list(column) for column in zip(*ranges, strict=True)]
        value = op.Slice(value, *columns)
    return value


def explicit(block: Block, shape: Sequence[int]) -> list[NDArray[np.int64]]:
    """Return the positions along each axis, also where they are the whole axis."""
    return [np.arange(extent) if part is None else part for part, extent in zip(block, shape, strict=True)]


def _flat(block: Block, shape: Sequence[int]) -> NDArray[np.int64] | None:
    """Return the positions of ``block`` in row-major order; None where they are too many to follow."""
    if prod(sizes(block, shape)) > _LARGEST:
        return None
    return np.ravel_multi_index(np.ix_(*explicit(block, shape)), tuple(shape)).ravel()


def _ordered(coordinates: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the different coordinates in the order in which they come first."""
    _, first = np.unique(coordinates, return_index=True)
    return coordinates[np.sort(first)]


def _groups(one: Sequence[int], two: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Yield the runs of axes of two shapes that hold the same elements, each as short as can be."""
    i = j = 0
    while i < len(one) or j < len(two):
        start, left, right = (i, j), 1, 1
        if i < len(one):
            left, i = one[i], i + 1
        if j < len(two):
            right, j = two[j], j + 1
        while left != right:
            if left < right:
                left, i = left * one[i], i + 1
            else:
                right, j = right * two[j], j + 1
        yield slice(start[0], i), slice(start[1], j)


def _along(axis: int, found: NDArray[np.int64], shape: Sequence[int]) -> Block:
    block: list[Positions] = [None] * len(shape)
    block[axis] = positions(found, shape[axis])
    return tuple(block)


def _sliced(node: ir.Node, shape: Sequence[int]) -> Block | None:
    known = [constant_array(value) for value in node.inputs[1:]]
    if len(known) < 2 or any(
        array is None and value is not None for array, value in zip(known, node.inputs[1:], strict=True)
    ):
        return None
    starts, ends = known[0], known[1]
    axes, steps = [*known[2:], None, None][:2]
    if starts is None or ends is None:
        return None
    block: list[Positions] = [None] * len(shape)
    for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        axis = int(index if axes is None else axes[index]) % len(shape)
        step = 1 if steps is None else int(steps[index])
        size = shape[axis]
        stop = None if step < 0 and end < -size else end
        block[axis] = positions(np.arange(size)[slice(start, stop, step)], size)
    return tuple(block)


def _named(indices: NDArray[np.int64] | None, shape: Sequence[int]) -> Block | None:
    """Return the block that the constant ``indices`` of a GatherND name; None where they name no block."""
    if indices is None or indices.size == 0:
        return None
    depth = indices.shape[-1]
    columns = [indices[..., axis].ravel() % shape[axis] for axis in range(depth)]
    inner = separated(np.ravel_multi_index(tuple(columns), tuple(shape[:depth])), shape[:depth])
    return None if inner is None else (*inner, *whole(len(shape) - depth))
