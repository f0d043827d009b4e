"""Axes behind a reshape: kept, split, joined, or folded until a later reshape undoes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gagrad_export.assemble.positions.axes import (
    Axes,
    Axis,
    Folded,
    Grid,
    Line,
    axes_of,
    both_shapes,
    resized,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir


_BATCH = 1_000_003
"""Stands for the size of the batch: a prime, so that no product of other sizes is mistaken for it."""


def reshaped(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    """Split the axes into the shortest runs of equal product; in each, an axis is kept, split or joined."""
    axes, (data, output) = axes_of(node, 0, found), both_shapes(node)
    have = [_size_of(size, axis) for size, axis in zip(data, axes, strict=True)]
    rest = math.prod(size for size in output if size is not None)
    unknown = math.prod(have) // rest if rest else 0
    want = [unknown if size is None else size for size in output]
    if math.prod(have) != math.prod(want):
        return [_same_end(data, output, axes)]
    result: list[Axis] = [None] * len(want)
    before = _unfolded(have, axes)
    behind = [i for i, size in enumerate(want) if size != 1]
    while before and behind:
        run, made = [before.pop(0)], [behind.pop(0)]
        while (old := math.prod(size for size, _ in run)) != (new := math.prod(want[i] for i in made)):
            if old < new:
                run.append(before.pop(0))
            else:
                made.append(behind.pop(0))
        sizes = [want[i] for i in made]
        for i, axis in zip(
            made, _split(run[0][1], sizes) if len(run) == 1 else _joined(run, sizes), strict=True
        ):
            result[i] = axis
    return [tuple(result)]


def _same_end(data: Sequence[int | None], output: Sequence[int | None], axes: Axes) -> Axes:
    """Return the axes of the last sizes that are the same before and after: in row-major order they are kept.

    For sizes that are unknown in another way than as the batch, such as channels of all images in one axis.
    """
    kept: list[Axis] = [None] * len(output)
    for index in range(1, min(len(data), len(output)) + 1):
        if data[-index] is None or data[-index] != output[-index]:
            break
        kept[-index] = axes[-index]
    return tuple(kept)


def _size_of(size: int | None, axis: Axis) -> int:
    """Return the size of an axis; of one that is unknown, the batch, or the batch joined with other axes."""
    if size is not None:
        return size
    return axis.shape[0] if isinstance(axis, Folded) and len(axis.shape) == 1 else _BATCH


def _unfolded(sizes: Sequence[int], axes: Axes) -> list[tuple[int, Axis]]:
    """Return size and axis of each axis longer than 1; of a folded one, as it was before."""
    found: list[tuple[int, Axis]] = []
    for size, axis in zip(sizes, axes, strict=True):
        if size == 1:
            continue
        found.append((size, axis))
        if isinstance(axis, Folded):
            count = len(axis.shape)
            if tuple(size for size, _ in found[-count:]) == axis.shape:
                found[-count:] = zip(axis.sizes, axis.axes, strict=True)
            else:
                found[-1] = (size, None)
    return found


def _split(axis: Axis, sizes: Sequence[int]) -> list[Axis]:
    """Return the axes into which ``axis`` is split; the first of them is the coarse position."""
    if len(sizes) == 1:
        return [axis]
    if isinstance(axis, Grid):
        exact = (axis.before, axis.after, axis.height, axis.width) == (0, 0, *sizes)
        return [axis.rows, axis.columns] if exact else [None] * len(sizes)
    rest: list[Axis] = [None] * (len(sizes) - 1)
    return [resized(axis, math.prod(sizes), sizes[0]) if isinstance(axis, Line) else None, *rest]


def _joined(run: Sequence[tuple[int, Axis]], sizes: Sequence[int]) -> list[Axis]:
    """Return the axes of ``sizes`` that neighbours become: rows and columns, a position and its parts."""
    (height, rows), (width, columns) = run[0], run[1]
    if len(sizes) == 1 and isinstance(rows, Line):
        if len(run) == 2 and isinstance(columns, Line):
            if (rows.along, columns.along) == ("rows", "columns"):
                return [Grid(rows, columns, height, width)]
        elif all(axis is None for _, axis in run[1:]):
            return [resized(rows, height, sizes[0])]
    known = [None if isinstance(axis, Folded) else axis for _, axis in run]
    folded = Folded(tuple(sizes), tuple(size for size, _ in run), tuple(known)) if any(known) else None
    return [*[None] * (len(sizes) - 1), folded]
