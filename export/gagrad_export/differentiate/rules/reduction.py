"""Reductions. A cotangent is constant along a reduced axis and keeps size 1 there until a rule expands it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import as_float, attribute, constant_array, operand, static_shape

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


@vjp("ReduceL1", since=(1, 11, 13, 18))
def reduce_l1(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = Σ|x|  ⟹  dx = dy·sign(x)."""
    return [op.Mul(with_reduced_axes(op, node, dy), op.Sign(operand(node, 0)))]


@vjp("ReduceL2", since=(1, 11, 13, 18))
def reduce_l2(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = √Σx²  ⟹  dx = dy·x / y; 0 where y = 0, as in PyTorch: the divisor is y + [y = 0], and x is 0."""
    y = with_reduced_axes(op, node, node.outputs[0])
    divisor = op.Add(y, as_float(op, op.Equal(y, 0.0), y))
    return [op.Mul(op.Div(with_reduced_axes(op, node, dy), divisor), operand(node, 0))]


@vjp("ReduceSumSquare", since=(1, 11, 13, 18))
def reduce_sum_square(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = Σx²  ⟹  dx = 2·dy·x."""
    return [op.Mul(op.Mul(with_reduced_axes(op, node, dy), 2.0), operand(node, 0))]


@vjp("ReduceLogSum", since=(1, 11, 13, 18))
def reduce_log_sum(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = ln Σx  ⟹  dx = dy·e⁻ʸ at every summed element."""
    return [with_reduced_axes(op, node, op.Mul(dy, op.Exp(op.Neg(node.outputs[0]))))]


@vjp("ReduceLogSumExp", since=(1, 11, 13, 18))
def reduce_log_sum_exp(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = ln Σeˣ  ⟹  dx = dy·exp(x − y), the softmax of x."""
    share = op.Exp(op.Sub(operand(node, 0), with_reduced_axes(op, node, node.outputs[0])))
    return [op.Mul(with_reduced_axes(op, node, dy), share)]


@vjp("ReduceProd", since=18)
def reduce_prod(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = Π x  ⟹  dxᵢ = dy·Π xⱼ over j ≠ i.

    With p the product of all non-zero x, the product over j ≠ i is p/xᵢ, or p for xᵢ = 0. It is 0 if another
    x is zero, that is if the number of zeros differs from [xᵢ = 0].
    """
    x, axes = operand(node, 0), reduced_axes(node)
    if not axes:
        return [dy]
    zero = as_float(op, op.Equal(x, 0.0), x)
    nonzero = op.Add(x, zero)
    others = op.Div(op.ReduceProd(nonzero, axes, keepdims=1), nonzero)
    allowed = as_float(op, op.Equal(op.ReduceSum(zero, axes, keepdims=1), zero), x)
    return [op.Mul(op.Mul(with_reduced_axes(op, node, dy), others), allowed)]


@vjp("ReduceMax", since=(1, 11, 12, 13, 18, 20))
@vjp("ReduceMin", since=(1, 11, 12, 13, 18, 20))
def reduce_extreme(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = max x  ⟹  dx = dy where x = y, shared evenly among ties (torch's ``amax``)."""
    x, axes = operand(node, 0), reduced_axes(node)
    if not axes:
        return [dy]
    winners = as_float(op, op.Equal(x, with_reduced_axes(op, node, node.outputs[0])), x)
    share = op.Div(with_reduced_axes(op, node, dy), op.ReduceSum(winners, axes, keepdims=1))
    return [op.Mul(winners, share)]


@vjp("CumSum", since=(11, 14))
def cum_sum(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """yᵢ = Σ xⱼ over j ≤ i  ⟹  dxⱼ = Σ dyᵢ over i ≥ j: the cumulative sum in the other direction."""
    exclusive, reverse = attribute(node, "exclusive", 0), attribute(node, "reverse", 0)
    return [op.CumSum(dy, node.inputs[1], exclusive=exclusive, reverse=1 - reverse)]


def reduced_axes(node: ir.Node) -> list[int]:
    """Return the axes that the reduction ``node`` removes; all axes if none are given.

    The axes are an attribute or a constant input. Raises UnsupportedOperatorError for computed axes.
    """
    x = operand(node, 0)
    assert x.shape is not None  # noqa: S101 - canonical values are shaped
    rank = x.shape.rank()
    axes = attribute(node, "axes")
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        known = constant_array(node.inputs[1])
        if known is None:
            raise UnsupportedOperatorError(
                f"the axes of operator {node.op_type} are computed by the graph",
                where=f"node {node.name!r}",
                hint="export the model with constant axes",
            )
        axes = known.tolist()
    if not axes:
        return [] if attribute(node, "noop_with_empty_axes", 0) else list(range(rank))
    return sorted(int(axis) % rank for axis in axes)


def with_reduced_axes(op: Op, node: ir.Node, value: ir.Value) -> ir.Value:
    """Return ``value``, shaped like the output of ``node``, with each reduced axis present as size 1."""
    axes = reduced_axes(node)
    return value if attribute(node, "keepdims", 1) or not axes else op.Unsqueeze(value, axes)
