"""ScatterND and GatherND without the batch's index.

torch exports ``x[:, 2:5] = v`` with one index tuple (row, i, …) per element of every row of the batch, the
same (i, …) in each row. Before: ``ScatterND(x, indices, v)``. After: ``Transpose(ScatterND(xᵀ, (i, …), vᵀ))``
with the batch moved to the last axis, which no index touches. GatherND likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.canonicalise.rewrite.writing import Rewriting, rows_of, standard_nodes
from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op


class DropRowIndex(Rewriting):
    """Rewrites every ScatterND and GatherND of that form. The batch is fixed, so indices are constants."""

    def nodes(self, graph: ir.Graph) -> list[ir.Node]:
        """Return every GatherND and ScatterND."""
        return standard_nodes(graph, ("GatherND", "ScatterND"))

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value] | None:
        """Return the written or read elements; None where the indices have another form."""
        indices = constant_array(node.inputs[1])
        if (
            indices is None
            or attribute(node, "batch_dims", 0)
            or not _counts_rows(indices, rows_of(op.graph))
        ):
            return None
        data, inner = _rows_last(op, operand(node, 0)), indices[0, ..., 1:]
        if node.op_type == "ScatterND":
            reduction = {"reduction": attribute(node, "reduction", "none")}
            result = op.ScatterND(data, inner, _rows_last(op, operand(node, 2)), **reduction)
        else:
            result = op.GatherND(data, inner)
        rank = len(static_shape(result))
        return [op.Transpose(result, perm=[rank - 1, *range(rank - 1)])]


def _counts_rows(indices: NDArray[np.int64], rows: int) -> bool:
    """Tell whether ``indices [rows, …, depth]`` begin with the row, and go on alike in every row."""
    if indices.ndim < 2 or len(indices) != rows or indices.shape[-1] < 2:
        return False
    counted = np.arange(rows).reshape(-1, *[1] * (indices.ndim - 2))
    return bool((indices[..., 0] == counted).all() and (indices[..., 1:] == indices[:1, ..., 1:]).all())


def _rows_last(op: Op, value: ir.Value) -> ir.Value:
    """Return ``value`` with its first axis moved to the end."""
    rank = len(static_shape(value))
    return op.Transpose(value, perm=[*range(1, rank), 0])
