"""Rearrangements between channels and pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import attribute, fixed_shape, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("DepthToSpace", since=(1, 11, 13))
def depth_to_space(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = channels of x spread over b×b pixels  ⟹  dx = dy's b×b pixels gathered into channels.

    SpaceToDepth orders the result pixel first, then channel, which is the adjoint for mode DCR. For CRD
    the channel comes first, so the result is built by Reshape and Transpose.
    """
    b = attribute(node, "blocksize")
    if attribute(node, "mode", "DCR") == "DCR":
        return op.SpaceToDepth(dy, blocksize=b)
    channels, height, width = fixed_shape(operand(node, 0))
    blocks = op.Reshape(dy, [0, channels // (b * b), height, b, width, b])
    return op.Reshape(op.Transpose(blocks, perm=[0, 1, 3, 5, 2, 4]), [0, channels, height, width])


@vjp("SpaceToDepth", since=(1, 13))
def space_to_depth(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = b×b pixels of x gathered into channels  ⟹  dx = dy's channels spread over pixels."""
    return op.DepthToSpace(dy, blocksize=attribute(node, "blocksize"))
