"""Reductions. The cotangent of a reduced axis is constant along it and stays of size 1 until it is needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gagrad_export.differentiate.registry import vjp
from gagrad_export.differentiate.rules.activation import as_float
from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("ReduceSum", since=(1, 11, 13))
def reduce_sum(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = Σ x over the axes  ⟹  dx = dy at every summed element."""
    return [with_reduced_axes(op, node, dy)]


@vjp("ReduceMean", since=(1, 11, 13, 18))
def reduce_mean(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = mean of x over the axes  ⟹  dx = dy / n at every averaged element."""
    x = operand(node, 0)
    axes = reduced_axes(node)
    sizes = [static_shape(x)[axis] for axis in axes]
    dx = with_reduced_axes(op, node, dy)
    if None not in sizes:
        return [op.Mul(dx, 1 / math.prod(size or 1 for size in sizes))]
    count = op.ReduceProd(op.Gather(op.Shape(x), axes), keepdims=0)
    return [op.Div(dx, op.CastLike(count, dx))]


@vjp("ReduceL2", since=(1, 11, 13, 18))
def reduce_l2(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = √Σx²  ⟹  dx = dy·x / y."""
    x = operand(node, 0)
    ratio = op.Div(with_reduced_axes(op, node, dy), with_reduced_axes(op, node, node.outputs[0]))
    return [op.Mul(ratio, x)]


@vjp("ReduceMax", since=(1, 11, 12, 13, 18, 20))
@vjp("ReduceMin", since=(1, 11, 12, 13, 18, 20))
def reduce_extreme(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = max x  ⟹  dx = dy where x = y, shared evenly among ties (torch's ``amax``)."""
    x = operand(node, 0)
    axes = reduced_axes(node)
    winners = as_float(op, op.Equal(x, with_reduced_axes(op, node, node.outputs[0])), x)
    share = op.Div(with_reduced_axes(op, node, dy), op.ReduceSum(winners, axes, keepdims=1))
    return [op.Mul(winners, share)]


def reduced_axes(node: ir.Node) -> list[int]:
    """Return the axes that a reduction removes, from its attribute or its constant input; all by default."""
    x = operand(node, 0)
    assert x.shape is not None  # noqa: S101 - canonical values are shaped
    rank = x.shape.rank()
    axes = attribute(node, "axes")
    if axes is None and len(node.inputs) > 1:
        known = constant_array(node.inputs[1])
        axes = None if known is None else known.tolist()
    if not axes:
        return [] if attribute(node, "noop_with_empty_axes", 0) else list(range(rank))
    return sorted(int(axis) % rank for axis in axes)


def with_reduced_axes(op: Op, node: ir.Node, value: ir.Value) -> ir.Value:
    """Return ``value``, shaped like the output of ``node``, with the reduced axes put back as size 1."""
    axes = reduced_axes(node)
    return value if attribute(node, "keepdims", 1) or not axes else op.Unsqueeze(value, axes)
