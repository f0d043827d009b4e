"""AffineGrid as a matrix product, since compilers refuse AffineGrid.

Before: ``AffineGrid(θ [N, 2, 3], size)``. After: ``Reshape(P·θᵀ)`` with the constant points
P ``[H·W, 3]`` = (x, y, 1) of the regular grid; likewise for three spatial axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.differentiate.interpolation import affine_points
from gagrad_export.emit import fixed_shape, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


def lower_affine_grid(op: Op, node: ir.Node) -> ir.Value:
    """Return the grid of the AffineGrid ``node``, computed as a matrix product."""
    transposed = op.Transpose(operand(node, 0), perm=[0, 2, 1])
    return op.Reshape(op.MatMul(affine_points(node), transposed), [0, *fixed_shape(node.outputs[0])])
