"""Gather from the flattened batch as Gather within each row of the batch.

torch exports ``as_strided`` as ``Gather(Reshape(x, [−1]), indices)``; the indices are the start of row n plus
the same offsets in every row. After: ``Gather(Reshape(x, [rows, S]), offsets, axis=1)``, S the number of
elements in a row; a plain Reshape where the offsets are 0, 1, 2 … S − 1.
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


class GatherWithinRows(Rewriting):
    """Rewrites every Gather of that form. The batch is fixed, so the indices are constants."""

    def nodes(self, graph: ir.Graph) -> list[ir.Node]:
        """Return every Gather."""
        return standard_nodes(graph, ("Gather",))

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value] | None:
        """Return the gathered elements; None where the indices have another form."""
        rows = rows_of(op.graph)
        flat, indices = operand(node, 0), constant_array(node.inputs[1])
        reshape = flat.producer()
        if attribute(node, "axis", 0) != 0 or reshape is None or reshape.op_type != "Reshape":
            return None
        x = operand(reshape, 0)
        (length, *others), (lead, *_) = static_shape(flat), static_shape(x)
        if others or indices is None or length is None or lead != rows:
            return None
        offsets = _offsets(indices, rows, length // rows)
        return None if offsets is None else [_within_rows(op, x, [rows, length // rows], offsets)]


def _offsets(indices: NDArray[np.int64], rows: int, size: int) -> NDArray[np.int64] | None:
    """Return the offsets within a row of ``size`` elements; None where the indices have another form."""
    if indices.ndim < 2 or len(indices) != rows:
        return None
    starts = size * np.arange(rows).reshape(-1, *[1] * (indices.ndim - 1))
    offsets: NDArray[np.int64] = indices - starts
    same = (offsets == offsets[:1]).all() and offsets.min() >= 0 and offsets.max() < size
    return offsets[0] if same else None


def _within_rows(op: Op, x: ir.Value, shape: list[int], offsets: NDArray[np.int64]) -> ir.Value:
    if np.array_equal(offsets.ravel(), np.arange(shape[1])):
        return op.Reshape(x, [shape[0], *offsets.shape])
    return op.Gather(op.Reshape(x, shape), offsets, axis=1)
