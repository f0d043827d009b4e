"""Axes behind each operator that moves positions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gagrad_export.assemble.positions.axes import (
    Axes,
    Axis,
    Folded,
    Grid,
    Line,
    axes_of,
    axis_of,
    both_shapes,
    resized,
)
from gagrad_export.assemble.positions.reshaping import reshaped
from gagrad_export.assemble.positions.taking import taken
from gagrad_export.emit import attribute, constant_array, static_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx_ir as ir


def alike(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
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


def _none(_node: ir.Node, _found: Mapping[ir.Value, Axes]) -> list[Axes]:
    return []


def _kept(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    """Expand, Tile: an axis of the same size is the same axis."""
    have, want = both_shapes(node)
    extra = len(want) - len(have)
    axes = (*[None] * extra, *axes_of(node, 0, found))
    have = [*[1] * extra, *have]
    return [tuple(axis if a == b else None for axis, a, b in zip(axes, have, want, strict=True))]


def _window(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    """Convolutions and poolings: a window over the axes behind the first two.

    A window that gives every position, or every second, covers the same part of the image as before.
    """
    axes, (data, output) = axes_of(node, 0, found), both_shapes(node)
    count = len(axes) - 2
    kernel = attribute(node, "kernel_shape")
    if kernel is None:
        weights = node.inputs[1]
        kernel = [1] * count if weights is None else static_shape(weights)[2:]
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
        elif node.op_type == "ConvTranspose":
            first = axis.start + axis.step / 2 - axis.step / stride * ((taps - 1) * apart / 2 - pad)
            moved = replace(axis, step=axis.step / stride, start=first - axis.step / stride / 2)
            result.append(resized(axis, size, new) if new == size * stride else moved)
        else:
            first = axis.start + axis.step * ((taps - 1) * apart / 2 - pad + 0.5)
            moved = replace(axis, step=axis.step * stride, start=first - axis.step * stride / 2)
            result.append(resized(axis, size, new) if new in (size // stride, -(-size // stride)) else moved)
    return [tuple(result)]


def _resize(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    have, want = both_shapes(node)
    return [
        tuple(
            axis if a == b else resized(axis, a, b) if isinstance(axis, Line) else None
            for axis, a, b in zip(axes_of(node, 0, found), have, want, strict=True)
        )
    ]


def _rearranged(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    """DepthToSpace, SpaceToDepth."""
    return [(None, None, *_resize(node, found)[0][2:])]


def _transposed(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    axes = axes_of(node, 0, found)
    order = attribute(node, "perm") or range(len(axes))[::-1]
    return [tuple(None if isinstance(axes[i], Folded) else axes[i] for i in order)]


def _product(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    """MatMul: rows from the first factor, columns from the second, and stacks of matrices from both."""
    left, right = axes_of(node, 0, found), axes_of(node, 1, found)
    if min(len(left), len(right)) < 2:
        return []
    count = max(len(left), len(right)) - 2
    stacks = [(None,) * (count + 2 - len(axes)) + axes[:-2] for axes in (left, right)]
    return [(*(a or b for a, b in zip(*stacks, strict=True)), left[-2], right[-1])]


def _gemm(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    """Gemm: rows from the first factor, in which tokens are joined with the batch."""
    axes = axes_of(node, 0, found)
    return [(axes[1 if attribute(node, "transA", 0) else 0], None)]


def _einsum(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    terms, arrow, result = attribute(node, "equation").replace(" ", "").partition("->")
    if not arrow or "." in terms:
        return []
    labels: dict[str, Axis] = {}
    for index, term in enumerate(terms.split(",")):
        for label, axis in zip(term, axes_of(node, index, found), strict=True):
            labels[label] = labels.get(label) or axis
    return [tuple(labels[label] for label in result)]


def _concat(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    """Axes as before; along the joined one, tokens in front of and behind one grid are counted."""
    shapes = [static_shape(value) for value in node.inputs if value is not None]
    every = [axes_of(node, i, found) for i in range(len(shapes))]
    along = axis_of(node, len(shapes[0]))
    result = [next((axes[i] for axes in every if axes[i]), None) for i in range(len(shapes[0]))]
    on = [(i, axis) for i, axes in enumerate(every) if (axis := axes[along])]
    sizes = [shape[along] or 0 for shape in shapes]
    result[along] = None
    index, grid = on[0] if len(on) == 1 else (0, None)
    if isinstance(grid, Grid):
        before, after = sum(sizes[:index]), sum(sizes[index + 1 :])
        result[along] = replace(grid, before=grid.before + before, after=grid.after + after)
    return [tuple(result)]


def _padded(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    axes = list(axes_of(node, 0, found))
    pads = constant_array(node.inputs[1])
    if pads is None:
        return []
    given = constant_array(node.inputs[3]) if len(node.inputs) > 3 else None
    which = list(range(len(axes))) if given is None else [int(i) % len(axes) for i in given]
    for i, axis in enumerate(which):
        before, after, line = int(pads[i]), int(pads[i + len(which)]), axes[axis]
        if isinstance(line, Line):
            axes[axis] = replace(line, start=line.start - line.step * before)
        elif before or after:
            axes[axis] = None
    return [tuple(axes)]


def _reduced(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    axes, shape = axes_of(node, 0, found), static_shape(node.outputs[0])
    given = constant_array(node.inputs[1]) if len(node.inputs) > 1 else attribute(node, "axes")
    over = {int(i) % len(axes) for i in (range(len(axes)) if given is None else given)}
    if len(shape) == len(axes):
        return [tuple(None if i in over else axis for i, axis in enumerate(axes))]
    return [tuple(axis for i, axis in enumerate(axes) if i not in over)]


def _sampled(node: ir.Node, found: Mapping[ir.Value, Axes]) -> list[Axes]:
    """GridSample: the output has the positions of the grid, as far as that comes from the image."""
    grid = axes_of(node, 1, found)
    return [(None, None, *grid[1:-1])]


RULES: dict[str, Callable[[ir.Node, Mapping[ir.Value, Axes]], list[Axes]]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"), _window),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _rearranged),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshaped),
    **dict.fromkeys(("Slice", "Split", "Gather"), taken),
    **dict.fromkeys(("Expand", "Tile"), _kept),
    **dict.fromkeys(("GatherElements", "GatherND", "TopK", "OneHot", "ScatterElements"), _none),
    "Transpose": _transposed,
    "MatMul": _product,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Concat": _concat,
    "Pad": _padded,
    "GridSample": _sampled,
    **{
        f"Reduce{kind}": _reduced
        for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
    },
}
"""Operators that move positions; every other one works element by element, or has none (``alike``)."""
