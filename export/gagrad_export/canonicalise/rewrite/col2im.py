"""Col2Im as a transposed convolution, which every engine has.

Before: ``Col2Im(x [N, C·K, L], image, block)``, which adds L patches of K elements into each channel.
After: ``Reshape(x, [0, 0, L…])``, L written as the grid of patches, and a ConvTranspose of C groups. In each
group kernel k is 1 at element k of the patch and 0 elsewhere: y[s·l + d·k − p] += x[k, l].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.canonicalise.rewrite.writing import Rewriting
from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_export.emit import Op


class ReplaceCol2Im(Rewriting):
    """Rewrites every Col2Im whose image and block are constants."""

    operators = ("Col2Im",)

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value] | None:
        """Return y ``[N, C, image…]``."""
        image, block = constant_array(node.inputs[1]), constant_array(node.inputs[2])
        columns = static_shape(operand(node, 0))[1]
        if image is None or block is None or columns is None:
            return None
        return [_transposed_convolution(op, node, image.tolist(), block.tolist(), columns)]


def _transposed_convolution(
    op: Op, node: ir.Node, image: list[int], block: list[int], columns: int
) -> ir.Value:
    x, rank, patch = operand(node, 0), len(image), math.prod(block)
    strides, dilations = (attribute(node, name, [1] * rank) for name in ("strides", "dilations"))
    pads = attribute(node, "pads", [0] * 2 * rank)
    room = [image[i] + pads[i] + pads[i + rank] - dilations[i] * (block[i] - 1) - 1 for i in range(rank)]
    grid = [space // stride + 1 for space, stride in zip(room, strides, strict=True)]
    dtype = (x.dtype or ir.DataType.FLOAT).numpy()
    kernels = np.tile(np.eye(patch, dtype=dtype), (columns // patch, 1)).reshape(columns, 1, *block)
    return op.ConvTranspose(
        op.Reshape(x, [0, 0, *grid]),
        kernels,
        strides=strides,
        dilations=dilations,
        pads=pads,
        group=columns // patch,
        # The pixels behind the last whole step.
        output_padding=[space % stride for space, stride in zip(room, strides, strict=True)],
    )
