"""Gathers from the flattened batch, which torch writes for ``as_strided``, as gathers within each row.

Before: ``Gather(Reshape(x, [−1]), indices)``: row n's start plus the same offsets in every row. After:
``Gather(Reshape(x, [rows, S]), offsets, axis=1)``, S the elements of a row; a plain Reshape where the offsets
count up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gather_within_rows(graph: ir.Graph, rows: int) -> None:
    """Rewrite every such Gather; shapes are those of a batch of ``rows``, so all indices are constants."""
    for node in [node for node in graph if node.op_type == "Gather" and node.domain == ""]:
        flat, indices = operand(node, 0), constant_array(node.inputs[1])
        reshape = flat.producer()
        if attribute(node, "axis", 0) != 0 or reshape is None or reshape.op_type != "Reshape":
            continue
        x = operand(reshape, 0)
        (length, *others), (lead, *_) = static_shape(flat), static_shape(x)
        if others or indices is None or length is None or lead != rows:
            continue
        offsets = _offsets(indices, rows, length // rows)
        if offsets is None:
            continue
        tape = ir.tape.Tape(graph)
        result = _within_rows(tape, node, x, [rows, length // rows], offsets)
        ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, [node.outputs[0]], [result])


def _offsets(indices: NDArray[np.int64], rows: int, size: int) -> NDArray[np.int64] | None:
    """Return the offsets within a row of ``size`` elements; None where the indices have another form."""
    if indices.ndim < 2 or len(indices) != rows:
        return None
    starts = size * np.arange(rows).reshape(-1, *[1] * (indices.ndim - 1))
    offsets: NDArray[np.int64] = indices - starts
    same = (offsets == offsets[:1]).all() and offsets.min() >= 0 and offsets.max() < size
    return offsets[0] if same else None


def _within_rows(
    tape: ir.tape.Tape, node: ir.Node, x: ir.Value, shape: list[int], offsets: NDArray[np.int64]
) -> ir.Value:
    prefix = f"{node.outputs[0].name}/within_rows"

    def constant(kind: str, array: NDArray[np.int64]) -> ir.Value:
        return tape.initializer(ir.tensor(array, name=f"{prefix}/{kind}"))

    if np.array_equal(offsets.ravel(), np.arange(shape[1])):
        return tape.op("Reshape", [x, constant("shape", np.array([shape[0], *offsets.shape]))])
    apart = tape.op("Reshape", [x, constant("rows", np.array(shape))])
    return tape.op("Gather", [apart, constant("offsets", offsets)], {"axis": 1})
