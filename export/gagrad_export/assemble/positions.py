"""Which axes of each value run along the image: followed from the image through every operator.

A shape alone does not tell a map from anything else: ``[N, 64, 9, 9]`` may be the rows of a head, and tokens
``[N, 64, D]`` may be a grid of 8×8. So each axis is followed from the image's own rows and columns: through
windows that move over them, reshapes that split or join them, transpositions, attention and residual sums.
Where an operator mixes all positions, its output has none. A residual sum gives them back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from gagrad_export.emit import attribute, constant_array, static_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir


@dataclass(frozen=True)
class Line:
    """Positions along the image's rows (from top to bottom) or columns, in pixels of the image."""

    along: Literal["rows", "columns"]
    start: float
    """Where the first position begins; 0 is the image's edge."""
    step: float
    """Distance of two neighbours."""


@dataclass(frozen=True)
class Grid:
    """Positions row by row along one axis: tokens, with others such as a class token before and behind."""

    rows: Line
    columns: Line
    height: int
    width: int
    before: int = 0
    after: int = 0


@dataclass(frozen=True)
class Folded:
    """The last of several axes that other axes were joined into and split again, such as groups of channels.

    A reshape that undoes this finds the axes as they were.
    """

    shape: tuple[int, ...]
    """The sizes of the axes now."""
    sizes: tuple[int, ...]
    axes: tuple[Line | Grid | None, ...]
    """The axes as they were."""


Axis = Line | Grid | Folded | None
Axes = tuple[Axis, ...]
"""One entry for each axis of a value; None where the axis does not run along the image."""
Shape = list[int | None]


def positions(graph: ir.Graph) -> dict[ir.Value, Axes]:
    """Return the axes of each value, as far as some of them run along the image."""
    image = graph.inputs[0]
    found: dict[ir.Value, Axes] = {image: (None, None, Line("rows", 0, 1), Line("columns", 0, 1))}
    for node in graph:
        if not any(value in found for value in node.inputs if value is not None):
            continue
        if any(value.shape is None for value in (*node.inputs, *node.outputs) if value is not None):
            continue
        for value, axes in zip(node.outputs, _RULES.get(node.op_type, _alike)(node, found), strict=False):
            if any(axes):
                found[value] = axes
    return found


def _axes(node: ir.Node, index: int, found: dict[ir.Value, Axes]) -> Axes:
    value = node.inputs[index]
    return () if value is None else found.get(value, (None,) * len(static_shape(value)))


def _alike(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    """Where each element of the output stands at the position of the elements that it comes from."""
    results = []
    for output in node.outputs:
        shape = static_shape(output)
        axes: list[Axis] = [None] * len(shape)
        for value in node.inputs:
            if value is None or value not in found:
                continue
            have = static_shape(value)
            extra = len(shape) - len(have)
            if extra < 0 or any(size not in (1, shape[extra + i]) for i, size in enumerate(have)):
                axes = [None] * len(shape)  # no element by element operation
                break
            for i, axis in enumerate(found[value], start=extra):
                if have[i - extra] == shape[i]:
                    axes[i] = axes[i] or axis
        results.append(tuple(axes))
    return results


def _none(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    return []


def _kept(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    """Expand, Tile: an axis of the same size is the same axis."""
    have, want = _both(node)
    axes = (None,) * (len(want) - len(have)) + _axes(node, 0, found)
    have = [1] * (len(want) - len(have)) + have
    return [tuple(axis if a == b else None for axis, a, b in zip(axes, have, want, strict=True))]


def _window(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    """Convolutions and poolings: a window over the axes behind the first two.

    A window that gives every position, or every second, covers the same part of the image as before.
    """
    axes, (data, output) = _axes(node, 0, found), _both(node)
    count = len(axes) - 2
    kernel = attribute(node, "kernel_shape")
    if kernel is None:
        kernel = [1] * count if len(node.inputs) < 2 or node.inputs[1] is None else static_shape(node.inputs[1])[2:]
    strides = attribute(node, "strides") or [1] * count
    dilations = attribute(node, "dilations") or [1] * count
    pads = attribute(node, "pads") or [0] * 2 * count
    result: list[Axis] = [None, None]
    for axis, size, new, stride, taps, apart, pad in zip(
        axes[2:], data[2:], output[2:], strides, kernel, dilations, pads[:count], strict=True
    ):
        if not isinstance(axis, Line) or not size or not new:
            # A window over tokens does not know where a row ends.
            result.append(axis if (taps, stride, pad) == (1, 1, 0) else None)
        elif new in ((size * stride,) if node.op_type == "ConvTranspose" else (size // stride, -(-size // stride))):
            result.append(_resized(axis, size, new))
        else:
            middle = (taps - 1) * apart / 2 - pad
            if node.op_type == "ConvTranspose":
                step, centre = axis.step / stride, axis.start + axis.step / 2 - axis.step / stride * middle
            else:
                step, centre = axis.step * stride, axis.start + axis.step * (middle + 0.5)
            result.append(replace(axis, step=step, start=centre - step / 2))
    return [tuple(result)]


def _both(node: ir.Node) -> tuple[Shape, Shape]:
    """Return the shapes of the first input and of the first output."""
    data = node.inputs[0]
    return [] if data is None else static_shape(data), static_shape(node.outputs[0])


def _resized(line: Line, size: int | None, new: int | None) -> Line | None:
    """Return ``line`` with ``new`` positions in place of ``size`` over the same extent."""
    return replace(line, step=line.step * size / new) if size and new else None


def _resize(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    have, want = _both(node)
    return [
        tuple(
            axis if a == b else _resized(axis, a, b) if isinstance(axis, Line) else None
            for axis, a, b in zip(_axes(node, 0, found), have, want, strict=True)
        )
    ]


def _rearranged(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    """DepthToSpace, SpaceToDepth."""
    return [(None, None, *_resize(node, found)[0][2:])]


def _transposed(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    axes = _axes(node, 0, found)
    order = attribute(node, "perm") or range(len(axes))[::-1]
    return [tuple(None if isinstance(axes[i], Folded) else axes[i] for i in order)]


_BATCH = 1_000_003
"""Stands for the size of the batch: a prime, so that no product of other sizes is mistaken for it."""


def _reshaped(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    """Split the axes into the shortest runs of equal product; in each, an axis is kept, split or joined."""
    have, want = ([_BATCH if size is None else size for size in shape] for shape in _both(node))
    if math.prod(have) != math.prod(want):
        return []
    result: list[Axis] = [None] * len(want)
    before = _unfolded(have, _axes(node, 0, found))
    behind = [i for i, size in enumerate(want) if size != 1]
    while before and behind:
        run, made = [before.pop(0)], [behind.pop(0)]
        while (old := math.prod(size for size, _ in run)) != (new := math.prod(want[i] for i in made)):
            if old < new:
                run.append(before.pop(0))
            else:
                made.append(behind.pop(0))
        sizes = [want[i] for i in made]
        for i, axis in zip(made, _split(run[0][1], sizes) if len(run) == 1 else _joined(run, sizes), strict=True):
            result[i] = axis
    return [tuple(result)]


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
    return [_resized(axis, math.prod(sizes), sizes[0]) if isinstance(axis, Line) else None, *rest]


def _joined(run: Sequence[tuple[int, Axis]], sizes: Sequence[int]) -> list[Axis]:
    """Return the axes of ``sizes`` that neighbouring axes become: rows and columns, a position and its parts."""
    (height, rows), (width, columns) = run[0], run[1]
    if len(sizes) == 1 and isinstance(rows, Line):
        if len(run) == 2 and isinstance(columns, Line):  # noqa: PLR2004
            if (rows.along, columns.along) == ("rows", "columns"):
                return [Grid(rows, columns, height, width)]
        elif all(axis is None for _, axis in run[1:]):
            return [_resized(rows, height, sizes[0])]
    known = [None if isinstance(axis, Folded) else axis for _, axis in run]
    folded = Folded(tuple(sizes), tuple(size for size, _ in run), tuple(known)) if any(known) else None
    return [*[None] * (len(sizes) - 1), folded]


def _product(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    """MatMul: rows from the first factor, columns from the second, and stacks of matrices from both."""
    left, right = _axes(node, 0, found), _axes(node, 1, found)
    if min(len(left), len(right)) < 2:  # noqa: PLR2004 - a vector
        return []
    count = max(len(left), len(right)) - 2
    stacks = [(None,) * (count + 2 - len(axes)) + axes[:-2] for axes in (left, right)]
    return [(*(a or b for a, b in zip(*stacks, strict=True)), left[-2], right[-1])]


def _einsum(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    terms, arrow, result = attribute(node, "equation").replace(" ", "").partition("->")
    if not arrow or "." in terms:
        return []
    labels: dict[str, Axis] = {}
    for index, term in enumerate(terms.split(",")):
        for label, axis in zip(term, _axes(node, index, found), strict=True):
            labels[label] = labels.get(label) or axis
    return [tuple(labels[label] for label in result)]


def _along(node: ir.Node, rank: int, default: int = 0) -> int:
    return int(attribute(node, "axis", default)) % rank


def _concat(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    """Axes as before; along the joined one, tokens in front of and behind one grid are counted."""
    shapes = [static_shape(value) for value in node.inputs if value is not None]
    every = [_axes(node, i, found) for i in range(len(shapes))]
    along = _along(node, len(shapes[0]))
    result = [next((axes[i] for axes in every if axes[i]), None) for i in range(len(shapes[0]))]
    grids = [(i, axis) for i, axes in enumerate(every) if (axis := axes[along])]
    sizes = [shape[along] or 0 for shape in shapes]
    result[along] = None
    if len(grids) == 1 and isinstance(grids[0][1], Grid):
        index, grid = grids[0]
        before, after = sum(sizes[:index]), sum(sizes[index + 1 :])
        result[along] = replace(grid, before=grid.before + before, after=grid.after + after)
    return [tuple(result)]


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
        axes = list(range(rank)) if len(given) < 3 or given[2] is None else given[2].tolist()  # noqa: PLR2004
        steps = [1] * len(axes) if len(given) < 4 or given[3] is None else given[3].tolist()  # noqa: PLR2004
        taken = {}
        for i, axis in enumerate(axes):
            size = shape[axis % rank]
            known = start is not None and stop is not None and size is not None
            taken[axis % rank] = (*slice(start[i], stop[i], steps[i]).indices(size)[:2], steps[i]) if known else (0, 0, 1)
        return [taken]
    along = _along(node, rank)
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


def _taken(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    """Slice, Split, Gather."""
    results = []
    for output, taken in zip(node.outputs, ranges(node), strict=True):
        axes: list[Axis] = list(_axes(node, 0, found))
        for axis, (start, stop, step) in taken.items():
            axes[axis] = _part(axes[axis], start, stop, step) if stop > start else None
        removed = len(axes) - len(static_shape(output))
        if node.op_type == "Gather" and removed:
            along = next(iter(taken))
            # One index takes the axis away, indices of several axes put more in its place.
            axes[along : along + 1] = [None] * (1 - removed)
        results.append(tuple(axes))
    return results


def _padded(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    axes = list(_axes(node, 0, found))
    pads = constant_array(node.inputs[1])
    if pads is None:
        return []
    given = constant_array(node.inputs[3]) if len(node.inputs) > 3 else None  # noqa: PLR2004
    which = list(range(len(axes))) if given is None else [int(i) % len(axes) for i in given]
    for i, axis in enumerate(which):
        before, after, line = int(pads[i]), int(pads[i + len(which)]), axes[axis]
        if isinstance(line, Line):
            axes[axis] = replace(line, start=line.start - line.step * before)
        elif before or after:
            axes[axis] = None
    return [tuple(axes)]


def _reduced(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    axes, shape = _axes(node, 0, found), static_shape(node.outputs[0])
    given = constant_array(node.inputs[1]) if len(node.inputs) > 1 else attribute(node, "axes")
    over = {int(i) % len(axes) for i in (range(len(axes)) if given is None else given)}
    if len(shape) == len(axes):
        return [tuple(None if i in over else axis for i, axis in enumerate(axes))]
    return [tuple(axis for i, axis in enumerate(axes) if i not in over)]


def _sampled(node: ir.Node, found: dict[ir.Value, Axes]) -> list[Axes]:
    """GridSample: the output has the positions of the grid, as far as that comes from the image."""
    grid = _axes(node, 1, found)
    return [(None, None, *grid[1:-1])]


_RULES: dict[str, Callable[[ir.Node, dict[ir.Value, Axes]], list[Axes]]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"), _window),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _rearranged),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshaped),
    **dict.fromkeys(("Slice", "Split", "Gather"), _taken),
    **dict.fromkeys(("Expand", "Tile"), _kept),
    **dict.fromkeys(("Gemm", "GatherElements", "GatherND", "TopK", "OneHot", "ScatterElements"), _none),
    "Transpose": _transposed,
    "MatMul": _product,
    "Einsum": _einsum,
    "Concat": _concat,
    "Pad": _padded,
    "GridSample": _sampled,
    **{
        f"Reduce{kind}": _reduced
        for kind in "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
    },
}
"""Operators that move positions; every other one works element by element, or has none (``_alike``)."""
