"""Axes behind Slice, Split and Gather, which take a part of a value."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from gagrad_export.assemble.positions.axes import Axes, Axis, Grid, Line, Shape, axes_of, axis_of
from gagrad_export.emit import constant_array, static_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir


def _part(axis: Axis, start: int, stop: int, step: int = 1) -> Axis:
    """Return the axis of the elements ``start:stop:step``."""
    if isinstance(axis, Line) and step > 0:
        return replace(axis, start=axis.start + axis.step * start, step=axis.step * step)
    if isinstance(axis, Grid) and step == 1:
        end = axis.before + axis.height * axis.width
        if start <= axis.before and stop >= end:
            return replace(axis, before=axis.before - start, after=stop - end)
    return None


def ranges(node: ir.Node) -> list[dict[int, tuple[int, int, int]]]:
    """Return, for each output of Slice, Split or Gather, what it takes: start, stop and step by axis.

    Gather with one index, or with a run of them. An axis that is taken by unknown indices has an empty range.
    """
    data = node.inputs[0]
    shape: Shape = [] if data is None else static_shape(data)
    rank = len(shape)
    if node.op_type == "Slice":
        given = [constant_array(value) for value in node.inputs[1:]]
        start, stop = (None if array is None else array.tolist() for array in given[:2])
        axes = list(range(rank)) if len(given) < 3 or given[2] is None else given[2].tolist()
        steps = [1] * len(axes) if len(given) < 4 or given[3] is None else given[3].tolist()
        found = {axis % rank: (0, 0, 1) for axis in axes}
        if start is not None and stop is not None:
            for axis, begin, end, step in zip(axes, start, stop, steps, strict=True):
                first, behind, _ = slice(begin, end, step).indices(shape[axis % rank] or 0)
                found[axis % rank] = (first, behind, step)
        return [found]
    along = axis_of(node, rank)
    if node.op_type == "Split":
        sizes = [static_shape(output)[along] or 0 for output in node.outputs]
        ends = list(accumulate(sizes))
        return [{along: (end - size, end, 1)} for end, size in zip(ends, sizes, strict=True)]
    indices, size = constant_array(node.inputs[1]), shape[along]
    if indices is None or size is None or indices.size == 0:
        return [{along: (0, 0, 1)}]
    flat = [int(index) % size for index in indices.ravel()]
    run = flat == list(range(flat[0], flat[0] + len(flat)))
    return [{along: (flat[0], flat[0] + len(flat), 1) if run else (0, 0, 1)}]


def taken(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    """Slice, Split, Gather."""
    results = []
    for output, parts in zip(node.outputs, ranges(node), strict=True):
        axes: list[Axis] = list(axes_of(node, 0, found))
        for axis, (start, stop, step) in parts.items():
            axes[axis] = _part(axes[axis], start, stop, step) if stop > start else None
        removed = len(axes) - len(static_shape(output))
        if node.op_type == "Gather" and removed:
            along = next(iter(parts))
            # One index takes the axis away, indices of several axes put more in its place.
            axes[along : along + 1] = [None] * (1 - removed)
        results.append(tuple(axes))
    return results
