"""Indices that count the rows of the batch, which torch writes for ``x[:, 2:5] = v``, leave it out.

Before: ``ScatterND(x, indices, v)`` whose indices are (row, i, …) for every row, the same i … in each. After:
``Transpose(ScatterND(xᵀ, (i, …), vᵀ))`` with the batch as the last axis, where nothing indexes it. GatherND
likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.emit import Op, attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def leave_rows_out(graph: ir.Graph, rows: int) -> None:
    """Rewrite every such ScatterND and GatherND; shapes are those of a batch of ``rows``."""
    op = Op(graph, "rows")
    for node in [node for node in graph if node.op_type in ("GatherND", "ScatterND") and node.domain == ""]:
        indices = constant_array(node.inputs[1])
        if indices is None or attribute(node, "batch_dims", 0) or not _counts_rows(indices, rows):
            continue
        data, inner = _rows_last(op, operand(node, 0)), indices[0, ..., 1:]
        if node.op_type == "ScatterND":
            reduction = {"reduction": attribute(node, "reduction", "none")}
            result = op.ScatterND(data, inner, _rows_last(op, operand(node, 2)), **reduction)
        else:
            result = op.GatherND(data, inner)
        rank = len(static_shape(result))
        result = op.Transpose(result, perm=[rank - 1, *range(rank - 1)])
        ir.convenience.replace_all_uses_with(node.outputs[0], result, replace_graph_outputs=True)
        graph.remove(node, safe=True)
    graph.sort()


def _counts_rows(indices: NDArray[np.int64], rows: int) -> bool:
    if indices.ndim < 2 or len(indices) != rows or indices.shape[-1] < 2:
        return False
    counted = np.arange(rows).reshape(-1, *[1] * (indices.ndim - 2))
    return bool((indices[..., 0] == counted).all() and (indices[..., 1:] == indices[:1, ..., 1:]).all())


def _rows_last(op: Op, value: ir.Value) -> ir.Value:
    rank = len(static_shape(value))
    return op.Transpose(value, perm=[*range(1, rank), 0])
