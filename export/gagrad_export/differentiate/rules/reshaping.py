"""Operators that reshape, join, split or repeat tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.adjoint_gather import TO_THE_END, not_fixed, reshape
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
    """y = x broadcast to a shape  ⟹  dx = dy summed over the broadcast axes (done by the walk)."""
    return [dy]


@vjp("Tile", since=(6, 13), limits="constant repetitions")
def tile(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = x repeated along each axis  ⟹  dx = Σ of dy over the repetitions.

    Along an axis of size 1 the walk sums, as for Expand. So the repetitions must be constant for the other
    axes only.
    """
    shape, repeats = static_shape(operand(node, 0)), constant_array(node.inputs[1])
    if repeats is None:
        if any(size not in (1, tiled) for size, tiled in zip(shape, static_shape(dy), strict=True)):
            raise not_fixed(node, "the repetitions are computed")
        return [dy]
    apart: list[int | None] = []
    summed = []
    for size, count in zip(shape, repeats.tolist(), strict=True):
        if size != 1 and count != 1:
            summed.append(len(apart))
            apart.append(count)
        apart.append(count if size == 1 else size)
    if not summed:
        return [dy]
    if apart.count(None) > 1:
        raise not_fixed(node, "several axes have no fixed size")
    return [op.ReduceSum(reshape(op, dy, apart, kept=1), summed, keepdims=0)]


@vjp("Concat", since=(4, 11, 13))
def concat(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = x₁ … xₙ joined along an axis  ⟹  dxᵢ = the part of dy at the position of xᵢ.

    After an input of unknown size, positions are counted from the end.
    """
    axis = attribute(node, "axis")
    sizes = [static_shape(operand(node, i))[axis] for i in range(len(node.inputs))]
    if sizes.count(None) > 1:
        raise not_fixed(node, f"more than one input has no fixed size along axis {axis}")
    parts = []
    for i, size in enumerate(sizes):
        before, behind = (sum(other or 0 for other in others) for others in (sizes[:i], sizes[i + 1 :]))
        start = before if None not in sizes[:i] else -behind - (size or 0)
        end = before + (size or 0) if None not in sizes[: i + 1] else -behind or TO_THE_END
        parts.append(op.Slice(dy, [start], [end], [axis]))
    return parts


@vjp("Split", since=(2, 11, 13, 18))
def split(op: Op, node: ir.Node, *dys: ir.Value | None) -> list[ir.Value]:
    """y₁ … yₙ = consecutive parts of x  ⟹  dx = dy₁ … dyₙ joined; 0 for a part that is not used."""
    parts = [
        op.expand_like(op.constant(0.0, like=y), y) if dy is None else dy
        for dy, y in zip(dys, node.outputs, strict=True)
    ]
    return [op.Concat(*parts, axis=attribute(node, "axis", 0))]
