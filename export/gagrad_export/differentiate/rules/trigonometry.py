"""Trigonometric and hyperbolic functions and their inverses, element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("Sin", since=(7, 22), elementwise=True)
def sin(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = sin x  ⟹  dx = dy·cos x."""
    return op.Mul(dy, op.Cos(operand(node, 0)))


@vjp("Cos", since=(7, 22), elementwise=True)
def cos(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = cos x  ⟹  dx = −dy·sin x."""
    return op.Neg(op.Mul(dy, op.Sin(operand(node, 0))))


@vjp("Tan", since=(7, 22), elementwise=True)
def tan(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = tan x  ⟹  dx = dy·(1 + y²)."""
    y = node.outputs[0]
    return op.Mul(dy, op.Add(op.Mul(y, y), 1.0))


@vjp("Asin", since=(7, 22), elementwise=True)
def asin(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = arcsin x  ⟹  dx = dy / √(1 − x²)."""
    return op.Div(dy, op.Sqrt(_one_minus_square(op, operand(node, 0))))


@vjp("Acos", since=(7, 22), elementwise=True)
def acos(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = arccos x  ⟹  dx = −dy / √(1 − x²)."""
    return op.Neg(asin(op, node, dy))


@vjp("Atan", since=(7, 22), elementwise=True)
def atan(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = arctan x  ⟹  dx = dy / (1 + x²)."""
    x = operand(node, 0)
    return op.Div(dy, op.Add(op.Mul(x, x), 1.0))


@vjp("Sinh", since=(9, 22), elementwise=True)
def sinh(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = sinh x  ⟹  dx = dy·cosh x."""
    return op.Mul(dy, op.Cosh(operand(node, 0)))


@vjp("Cosh", since=(9, 22), elementwise=True)
def cosh(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = cosh x  ⟹  dx = dy·sinh x."""
    return op.Mul(dy, op.Sinh(operand(node, 0)))


@vjp("Asinh", since=(9, 22), elementwise=True)
def asinh(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = arsinh x  ⟹  dx = dy / √(1 + x²)."""
    x = operand(node, 0)
    return op.Div(dy, op.Sqrt(op.Add(op.Mul(x, x), 1.0)))


@vjp("Acosh", since=(9, 22), elementwise=True)
def acosh(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = arcosh x  ⟹  dx = dy / √(x² − 1)."""
    return op.Div(dy, op.Sqrt(op.Neg(_one_minus_square(op, operand(node, 0)))))


@vjp("Atanh", since=(9, 22), elementwise=True)
def atanh(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = artanh x  ⟹  dx = dy / (1 − x²)."""
    return op.Div(dy, _one_minus_square(op, operand(node, 0)))


def _one_minus_square(op: Op, x: ir.Value) -> ir.Value:
    """Return 1 − x² as (1 − x)·(1 + x), which does not lose precision near ±1."""
    return op.Mul(op.Sub(1.0, x), op.Add(x, 1.0))
