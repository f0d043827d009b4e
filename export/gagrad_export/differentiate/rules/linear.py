"""Matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import attribute, constant_array, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("MatMul", since=(1, 9, 13))
def matmul(op: Op, node: ir.Node, dy: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Y = A·B  ⟹  dA = dY·Bᵀ, dB = Aᵀ·dY.

    A 1-D operand is a row (A) or a column (B); MatMul drops its axis of size 1 from the output. The rule
    restores that axis before it multiplies. The walk sums over broadcast axes.
    """
    a, b = operand(node, 0), operand(node, 1)
    assert a.shape is not None and b.shape is not None  # noqa: S101, PT018 - canonical values are shaped
    left, right = a.shape.rank() == 1, b.shape.rank() == 1
    if left:
        a, dy = op.Unsqueeze(a, [0]), op.Unsqueeze(dy, [-1] if right else [-2])
    if right:
        b, dy = op.Unsqueeze(b, [1]), op.Unsqueeze(dy, [-1])
    da, db = op.MatMul(dy, transposed(op, b)), op.MatMul(transposed(op, a), dy)
    return op.Squeeze(da, [-2]) if left else da, op.Squeeze(db, [-1]) if right else db


@vjp("Gemm", since=(7, 9, 11, 13))
def gemm(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """Y = α·A′·B′ + β·C, ′ an optional transposition  ⟹  dA′ = α·dY·B′ᵀ, dB′ = α·A′ᵀ·dY, dC = β·dY."""
    a, b, *bias = node.inputs
    alpha, beta = attribute(node, "alpha", 1.0), attribute(node, "beta", 1.0)
    a_t, b_t = attribute(node, "transA", 0), attribute(node, "transB", 0)
    if a_t:
        da = op.Gemm(b, dy, alpha=alpha, transA=b_t, transB=1)
    else:
        da = op.Gemm(dy, b, alpha=alpha, transB=1 - b_t)
    if b_t:
        db = op.Gemm(dy, a, alpha=alpha, transA=1, transB=a_t)
    else:
        db = op.Gemm(a, dy, alpha=alpha, transA=1 - a_t)
    return [da, db, *(op.Mul(dy, beta) for _ in bias)]


def transposed(op: Op, value: ir.Value) -> ir.Value:
    """Return ``value`` with its last two axes swapped; for a constant a new constant is made."""
    known = constant_array(value)
    if known is not None:
        return op.constant(np.ascontiguousarray(known.swapaxes(-1, -2)))
    assert value.shape is not None  # noqa: S101 - emitted values are shaped
    axes = list(range(value.shape.rank()))
    axes[-2:] = axes[:-3:-1]
    return op.Transpose(value, perm=axes)
