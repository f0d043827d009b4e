"""Arithmetic and elementary functions, element by element with broadcasting.

The rules are the scalar formulas: the walk sums a contribution over the axes that broadcasting added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import as_float, constant_array, operand, static_shape

if TYPE_CHECKING:
    from gagrad_export.emit import Op

Pair = tuple[ir.Value, ir.Value]


@vjp("Add", since=(7, 13, 14))
def add(op: Op, node: ir.Node, dy: ir.Value) -> Pair:
    """y = a + b  ⟹  da = dy, db = dy."""
    return dy, dy


@vjp("Sub", since=(7, 13, 14))
def sub(op: Op, node: ir.Node, dy: ir.Value) -> Pair:
    """y = a − b  ⟹  da = dy, db = −dy."""
    return dy, op.Neg(dy)


@vjp("Mul", since=(7, 13, 14))
def mul(op: Op, node: ir.Node, dy: ir.Value) -> Pair:
    """y = a·b  ⟹  da = dy·b, db = dy·a."""
    a, b = node.inputs
    return op.Mul(dy, b), op.Mul(dy, a)


@vjp("Div", since=(7, 13, 14))
def div(op: Op, node: ir.Node, dy: ir.Value) -> Pair:
    """y = a/b  ⟹  da = dy/b, db = −da·y."""
    da = op.Div(dy, node.inputs[1])
    return da, op.Neg(op.Mul(da, node.outputs[0]))


@vjp("Pow", since=(7, 12, 13, 15))
def power(op: Op, node: ir.Node, dy: ir.Value) -> Pair:
    """y = xᵖ  ⟹  dx = dy·p·xᵖ⁻¹, dp = dy·y·ln x; as in PyTorch dx = 0 where p = 0, dp = 0 where x = 0.

    The plain formulas give 0·∞ there. So x is raised to p − [p ≠ 0], and the logarithm is of x + [x = 0].
    """
    x, p = operand(node, 0), operand(node, 1)
    assert x.dtype is not None  # noqa: S101 - canonical values are typed
    known = constant_array(p)
    if known is None:
        exponent = op.Cast(p, to=int(x.dtype))
        lower = op.Sub(exponent, as_float(op, op.Cast(exponent, to=int(ir.DataType.BOOL)), x))
    else:
        exponent = op.constant(known.astype(np.float64), like=x)
        lower = op.constant((known - (known != 0)).astype(np.float64), like=x)
    # Most powers are squares; for them x¹ is x, which saves a Pow.
    root = x if known is not None and np.all(known == 2) else op.Pow(x, lower)
    logarithm = op.Log(op.Add(x, as_float(op, op.Equal(x, 0.0), x)))
    dp = op.Mul(dy, op.Mul(node.outputs[0], logarithm))
    return op.Mul(dy, op.Mul(root, exponent)), op.CastLike(dp, p)


@vjp("Mod", since=(10, 13))
def mod(op: Op, node: ir.Node, dy: ir.Value) -> Pair:
    """y = a − b·n, n the quotient rounded to an integer  ⟹  da = dy, db = −dy·n = dy·(y − a)/b."""
    a, b = node.inputs
    return dy, op.Mul(dy, op.Div(op.Sub(node.outputs[0], a), b))


@vjp("Sum", since=(8, 13))
def sum_of(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = Σ xᵢ  ⟹  dxᵢ = dy."""
    return [dy] * len(node.inputs)


@vjp("Mean", since=(8, 13))
def mean_of(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = Σ xᵢ / n  ⟹  dxᵢ = dy / n."""
    return [op.Mul(dy, 1 / len(node.inputs))] * len(node.inputs)


@vjp("Identity", since=(1, 13, 14, 16, 19, 21, 23, 24, 25), elementwise=True)
def identity(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x  ⟹  dx = dy."""
    return dy


@vjp("Dropout", since=(7, 10, 12, 13, 22), elementwise=True)
def dropout(op: Op, node: ir.Node, dy: ir.Value, dmask: ir.Value | None = None) -> ir.Value:
    """y = x, at inference  ⟹  dx = dy."""
    return dy


@vjp("Cast", since=(6, 9, 13, 19, 21, 23, 24, 25), elementwise=True)
def cast(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x in another floating-point type  ⟹  dx = dy in the type of x."""
    x = operand(node, 0)
    assert x.dtype is not None  # noqa: S101 - canonical values are typed
    return op.Cast(dy, to=int(x.dtype))


@vjp("CastLike", since=(15, 19, 21, 23, 24, 25))
def cast_like(op: Op, node: ir.Node, dy: ir.Value) -> Pair:
    """y = x in the type of t  ⟹  dx = dy in the type of x, dt = 0."""
    x, t = operand(node, 0), operand(node, 1)
    return op.CastLike(dy, x), op.constant(np.zeros([1] * len(static_shape(t))), like=t)


@vjp("Neg", since=(6, 13), elementwise=True)
def neg(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = −x  ⟹  dx = −dy."""
    return op.Neg(dy)


@vjp("Abs", since=(6, 13), elementwise=True)
def absolute(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = |x|  ⟹  dx = dy·sign(x); 0 at 0."""
    return op.Mul(dy, op.Sign(operand(node, 0)))


@vjp("Reciprocal", since=(6, 13), elementwise=True)
def reciprocal(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = 1/x  ⟹  dx = −dy·y²."""
    y = node.outputs[0]
    return op.Neg(op.Mul(dy, op.Mul(y, y)))


@vjp("Sqrt", since=(6, 13), elementwise=True)
def sqrt(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = √x  ⟹  dx = dy / (2y)."""
    return op.Div(dy, op.Mul(node.outputs[0], 2.0))


@vjp("Exp", since=(6, 13), elementwise=True)
def exp(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = eˣ  ⟹  dx = dy·y."""
    return op.Mul(dy, node.outputs[0])


@vjp("Log", since=(6, 13), elementwise=True)
def log(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = ln x  ⟹  dx = dy/x."""
    return op.Div(dy, operand(node, 0))
