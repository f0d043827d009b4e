"""Operators that move, repeat or drop elements without computing: their adjoints move them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


def reshaped(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = the elements of x in another shape  ⟹  dx = dy in the shape of x."""
    x = operand(node, 0)
    return [op.reshape_like(dy, x)]


vjp("Reshape", since=(5, 13, 14, 19, 21, 23, 24, 25))(reshaped)
vjp("Flatten", since=(1, 9, 11, 13, 21, 23, 24, 25))(reshaped)
vjp("Squeeze", since=(1, 11, 13, 21, 23, 24, 25))(reshaped)
vjp("Unsqueeze", since=(1, 11, 13, 21, 23, 24, 25))(reshaped)


@vjp("Transpose", since=(1, 13, 21, 23, 24, 25))
def transpose(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x with its axes permuted  ⟹  dx = dy with the inverse permutation."""
    rank = len(static_shape(dy))
    perm = attribute(node, "perm", list(reversed(range(rank))))
    return op.Transpose(dy, perm=np.argsort(perm).tolist())


@vjp("Expand", since=(8, 13))
def expand(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = x broadcast to a shape  ⟹  dx = dy summed over what was repeated (the walk does that)."""
    return [dy]


@vjp("Concat", since=(4, 11, 13))
def concat(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = x₁ … xₙ one behind the other  ⟹  dxᵢ = its part of dy."""
    axis = attribute(node, "axis")
    parts, start = [], 0
    for x in node.inputs:
        assert x is not None  # noqa: S101 - no input of Concat is optional
        size = static_shape(x)[axis]
        if size is None:
            raise _not_fixed(node, f"{x.name} has no fixed size along axis {axis}")
        parts.append(op.Slice(dy, [start], [start + size], [axis]))
        start += size
    return parts


@vjp("Split", since=(2, 11, 13, 18))
def split(op: Op, node: ir.Node, *dys: ir.Value | None) -> list[ir.Value]:
    """y₁ … yₙ = consecutive parts of x  ⟹  dx = dy₁ … dyₙ one behind the other; 0 for an unused part."""
    parts = [
        op.expand_like(op.constant(0.0, like=y), y) if dy is None else dy
        for dy, y in zip(dys, node.outputs, strict=True)
    ]
    return [op.Concat(*parts, axis=attribute(node, "axis", 0))]


@vjp("Slice", since=(10, 11, 13))
def slice_(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = a range of x along some axes  ⟹  dx = dy with zeros put back where x was left out.

    A step s keeps every s-th element: s − 1 zeros go behind each element first.
    """
    x = operand(node, 0)
    shape = static_shape(x)
    starts, ends, axes, steps = _ranges(node, len(shape))
    before, after = [0] * len(shape), [0] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = shape[axis]
        if size is None:
            raise _not_fixed(node, f"axis {axis} has no fixed size")
        taken = range(size)[slice(start, None if step < 0 and end < -size else end, step)]
        if step < 0:
            dy = op.Slice(dy, [-1], [-(2**31)], [axis], [-1])
            taken = taken[::-1]
        dy = _spread(op, dy, axis, taken.step)
        before[axis] = taken.start
        after[axis] = size - taken.start - len(taken) * taken.step
    return [_padded(op, dy, before, after)]


@vjp("Pad", since=(2, 11, 13, 18, 19, 21, 23, 24, 25))
def pad(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = x with a constant border  ⟹  dx = dy without it."""
    x = operand(node, 0)
    mode = attribute(node, "mode", "constant")
    if mode != "constant":
        raise _not_fixed(node, f"padding mode {mode!r} has no rule yet")
    rank = len(static_shape(x))
    pads = constant_array(node.inputs[1]) if len(node.inputs) > 1 else np.asarray(attribute(node, "pads"))
    axes = constant_array(node.inputs[3]) if len(node.inputs) > 3 else None
    if pads is None:
        raise _not_fixed(node, "the padding is computed")
    named = list(range(rank)) if axes is None else [int(axis) % rank for axis in axes]
    before, after = [0] * rank, [0] * rank
    for index, axis in enumerate(named):
        before[axis], after[axis] = -int(pads[index]), -int(pads[index + len(named)])
    return [_padded(op, dy, before, after)]


def _spread(op: Op, dy: ir.Value, axis: int, step: int) -> ir.Value:
    """Put ``step − 1`` zeros behind each element along ``axis``."""
    if step == 1:
        return dy
    size = static_shape(dy)[axis]
    assert size is not None  # noqa: S101 - a slice of a fixed size
    spread = op.Unsqueeze(dy, [axis + 1])
    rank = len(static_shape(spread))
    after = [0] * rank
    after[axis + 1] = step - 1
    spread = _padded(op, spread, [0] * rank, after)
    shape = [0] * (rank - 1)
    shape[axis] = size * step
    return op.Reshape(spread, shape)


def _padded(op: Op, value: ir.Value, before: list[int], after: list[int]) -> ir.Value:
    """Pad (positive) with zeros and crop (negative): compilers want the two as separate operators."""
    axes = [axis for axis, (low, high) in enumerate(zip(before, after, strict=True)) if min(low, high) < 0]
    if axes:
        starts = [max(-before[axis], 0) for axis in axes]
        ends = [min(after[axis], 0) or 2**31 for axis in axes]
        value = op.Slice(value, starts, ends, axes)
    pads = [max(size, 0) for size in [*before, *after]]
    return op.Pad(value, pads) if any(pads) else value


def _ranges(node: ir.Node, rank: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Return starts, ends, axes and steps of a Slice whose bounds are constants."""
    known = [constant_array(value) for value in node.inputs[1:]]
    if any(array is None and value is not None for array, value in zip(known, node.inputs[1:], strict=True)):
        raise _not_fixed(node, "the bounds are computed")
    lists = [None if array is None else [int(item) for item in array] for array in known]
    lists += [None] * (4 - len(lists))
    starts, ends = lists[0] or [], lists[1] or []
    axes = lists[2] or list(range(len(starts)))
    return starts, ends, [axis % rank for axis in axes], lists[3] or [1] * len(starts)


def _not_fixed(node: ir.Node, why: str) -> UnsupportedOperatorError:
    return UnsupportedOperatorError(
        f"operator {node.op_type} cannot be differentiated here: {why}",
        where=f"node {node.name!r}",
        hint="fix the model's input size with --size, and export the model with constant shapes",
    )
