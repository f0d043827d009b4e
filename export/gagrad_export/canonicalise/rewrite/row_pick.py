"""Reads at computed places of each row, in a model for several images, without the number of the row.

torch exports ``x[rows, best]``, x [R, P, …] and best [R], with the rows as constants. Before: ``GatherND(x,
Concat(rows, best))``, or ``Gather(x as [R·P, …], rows·P + best)``. After: ``GatherND(x, best,
batch_dims=1)``.
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

_VIEWS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")


class PickWithinRows(Rewriting):
    """Rewrites every Gather and GatherND of that form. The batch is fixed, so the rows are constants."""

    def nodes(self, graph: ir.Graph) -> list[ir.Node]:
        """Return every Gather and GatherND of a model for several images; one row has no number."""
        return standard_nodes(graph, ("Gather", "GatherND")) if rows_of(graph) > 1 else []

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value] | None:
        """Return what is read; None where the indices have another form."""
        read = _by_tuples if node.op_type == "GatherND" else _by_numbers
        value = read(op, node, rows_of(op.graph))
        return None if value is None else [value]


def _by_tuples(op: Op, node: ir.Node, rows: int) -> ir.Value | None:
    """Read at index tuples (row, computed…), which a Concat joins."""
    joined = operand(node, 1).producer()
    if joined is None or joined.op_type != "Concat" or attribute(node, "batch_dims", 0):
        return None
    rank = len(static_shape(joined.outputs[0]))
    first, *others = joined.inputs
    counted = constant_array(first)
    lies_last = attribute(joined, "axis") % rank == rank - 1
    if counted is None or not others or not lies_last or counted.shape[-1] != 1 or not _counts(counted, rows):
        return None
    rest = others[0] if len(others) == 1 else op.Concat(*others, axis=rank - 1)
    value: ir.Value = op.GatherND(operand(node, 0), rest, batch_dims=1)
    return value


def _by_numbers(op: Op, node: ir.Node, rows: int) -> ir.Value | None:
    """Read at ``rows·P + best``, where best is a place among P for all that the graph says."""
    x, index = operand(node, 0), _behind_views(operand(node, 1)).producer()
    (length, *others) = static_shape(x)
    if attribute(node, "axis", 0) != 0 or index is None or index.op_type != "Add" or length is None:
        return None
    size, rest = divmod(length, rows)
    for best, starts in (index.inputs, reversed(index.inputs)):
        array = constant_array(starts)
        if (
            best is not None
            and array is not None
            and not rest
            and static_shape(best)[:1] == [rows]
            and _counts(array, rows, size)
            and _is_place(best, size)
        ):
            parts = op.Reshape(x, [rows, size, *(extent or 0 for extent in others)])
            read = op.GatherND(parts, op.Unsqueeze(best, [-1]), batch_dims=1)
            value: ir.Value = op.Reshape(read, [extent or 0 for extent in static_shape(node.outputs[0])])
            return value
    return None


def _counts(array: NDArray[np.generic], rows: int, step: int = 1) -> bool:
    """Whether ``array [rows, …]`` is ``step`` times the number of the row."""
    if array.ndim == 0 or len(array) != rows:
        return False
    return bool((array == step * np.arange(rows).reshape(-1, *[1] * (array.ndim - 1))).all())


def _behind_views(value: ir.Value) -> ir.Value:
    """Return the value whose elements ``value`` has in the same order."""
    while (node := value.producer()) is not None and node.op_type in _VIEWS:
        value = operand(node, 0)
    return value


def _is_place(value: ir.Value, size: int) -> bool:
    """Whether ``value`` is what an ArgMax, ArgMin or TopK chose among ``size`` places at most."""
    value = _behind_views(value)
    node = value.producer()
    if node is None or node.op_type not in ("ArgMax", "ArgMin", "TopK"):
        return False
    if node.op_type == "TopK" and value is not node.outputs[1]:
        return False
    extents = static_shape(operand(node, 0))
    chosen_from = extents[attribute(node, "axis", -1 if node.op_type == "TopK" else 0)]
    return chosen_from is not None and chosen_from <= size
