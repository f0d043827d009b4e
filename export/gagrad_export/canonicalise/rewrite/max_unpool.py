"""MaxUnpool as a product: each value repeated over its window, times a mask of the maximum's pixel.

Before: ``MaxUnpool(x, indices)`` with windows that tile the plane. After: each window's value at all of its
pixels, multiplied by 1 at the pixel that has the window's index and by 0 at the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.canonicalise.rewrite.writing import Rewriting, not_rewritten
from gagrad_export.emit import as_float, attribute, operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from gagrad_export.emit import Op


class ReplaceMaxUnpool(Rewriting):
    """Rewrites every MaxUnpool. Raises UnsupportedOperatorError where windows overlap."""

    operators = ("MaxUnpool",)
    limits = "windows that tile the plane; TensorRT refuses MaxPool's indices"

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value]:
        """Return y, which has the size of the plane before pooling."""
        return [_spread(op, node)]


def _spread(op: Op, node: ir.Node) -> ir.Value:
    x, indices = operand(node, 0), operand(node, 1)
    kernel = attribute(node, "kernel_shape")
    shape, target = shape_of(x), shape_of(node.outputs[0])
    whole = [*shape[:2], *(size * step for size, step in zip(shape[2:], kernel, strict=True))]
    if attribute(node, "strides", [1] * len(kernel)) != kernel or target != whole:
        raise not_rewritten(node, "its windows overlap, or do not fill the plane")
    # Each axis of windows is followed by an axis within the window. An index counts through the planes of all
    # channels.
    apart, inside = list(shape[:2]), []
    for size, step in zip(shape[2:], kernel, strict=True):
        apart += [size, 1]
        inside += [size, step]
    plane = np.arange(np.prod(target[2:])).reshape(inside)
    within = op.Mod(op.Reshape(indices, apart), np.array(plane.size))
    chosen = as_float(op, op.Equal(within, plane), x)
    return op.Reshape(op.Mul(op.Reshape(x, apart), chosen), target)
