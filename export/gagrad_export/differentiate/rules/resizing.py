"""Resize, a separable linear map; ``differentiate/interpolation.py`` computes its matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.interpolation import apply_matrices, resize_matrices
from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op


@vjp("Resize", since=(11, 13, 18, 19), limits="constant sizes")
def resize(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = W₁ ⊗ W₂ ⊗ … x, a matrix per axis  ⟹  dx = W₁ᵀ ⊗ W₂ᵀ ⊗ … dy.

    If Resize repeats every pixel k times, the adjoint is a sum over blocks, which engines run as a pooling.
    """
    matrices = resize_matrices(node)
    rank = len(static_shape(operand(node, 0)))
    blocks = [_repeats(matrices[axis]) if axis in matrices else 1 for axis in range(rank)]
    if all(blocks) and rank > 2 and blocks[:2] == [1, 1]:
        pooled = op.AveragePool(dy, kernel_shape=blocks[2:], strides=blocks[2:])
        return [op.Mul(pooled, float(math.prod(blocks)))]
    adjoints = {axis: np.ascontiguousarray(matrix.T) for axis, matrix in matrices.items()}
    return [apply_matrices(op, dy, adjoints)]


def _repeats(matrix: NDArray[np.floating]) -> int:
    """Return k if ``matrix`` repeats every element k times, else 0."""
    resized, size = matrix.shape
    k = resized // size
    return k if np.array_equal(matrix, np.repeat(np.eye(size), k, axis=0)) else 0
