"""Reading at computed indices out of data that has the batch along the axis that is read.

torch exports ``x[rows, best]``, with ``x [N, A, C]``, as a Gather from the flattened ``[N·A, C]`` at the
indices ``row · A + best``, and as a GatherND whose index tuples begin with the row. In a model for one image
there is one row, so every index that the axis has lies within it. A model for several images carries the rows
as constants that differ from row to row: ``rewrite.row_pick`` takes them out, and what is left is refused
where it meets the batch.

After: GatherND row by row (``batch_dims=1``), for data and indices that have the batch on their first axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import onnx_ir as ir

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from gagrad_export.canonicalise.batch.place import Place
    from gagrad_export.canonicalise.batch.registry import Placed
    from gagrad_export.canonicalise.batch.values import Batch

    Read: TypeAlias = tuple[ir.Value, Place | None]
    """What was read, as ``[N, …]``, and where the operator's own output has the batch."""


def read_in_rows(batch: Batch, node: ir.Node, placed: Placed) -> bool:
    """Let ``node`` read within rows, and tell whether that is possible."""
    data = placed[0] if placed else None
    if node.domain != "" or data is None or batch.size > 1:
        return False
    rules = {"Gather": _gather, "GatherElements": _gather_elements, "GatherND": _gather_nd}
    if node.op_type not in rules:
        return False
    found = rules[node.op_type](batch, node, data, placed[1])
    return found is not None and batch.leave(node, found[:1], found[1])


def _gather(batch: Batch, node: ir.Node, data: Place, indices: Place | None) -> Read | None:
    x, wanted = operand(node, 0), operand(node, 1)
    axis = int(attribute(node, "axis", 0)) % len(shape_of(x))
    found = _in_rows(batch, wanted, indices)
    if data.axis == axis:
        rows, own = batch.unfolded(x, data), axis + 1
    else:
        rows, own = batch.front(x, data), axis + 1 - (data.pure and data.axis < axis)
    rank, taken = len(shape_of(rows)), len(shape_of(found)) - 1
    others = [i for i in range(1, rank) if i != own]
    read = batch.op.GatherND(
        batch.op.Transpose(rows, perm=[0, own, *others]), batch.op.Unsqueeze(found, [-1]), batch_dims=1
    )
    # [N, indices…, others…] → [N, others in front…, indices…, others behind…]
    front = [taken + 1 + i for i, other in enumerate(others) if other < own]
    behind = [taken + 1 + i for i, other in enumerate(others) if other > own]
    read = batch.op.Transpose(read, perm=[0, *front, *range(1, taken + 1), *behind])
    return read, None if indices is None else indices.at(axis + indices.axis)


def _gather_nd(batch: Batch, node: ir.Node, data: Place, indices: Place | None) -> Read | None:
    x, wanted = operand(node, 0), operand(node, 1)
    depth = shape_of(wanted)[-1]
    if attribute(node, "batch_dims", 0):
        return None
    if indices is not None and indices.axis == len(shape_of(wanted)) - 1:
        return None
    found = _in_rows(batch, wanted, indices)
    rows = batch.unfolded(x, data) if data.axis < depth else batch.front(x, data)
    return batch.op.GatherND(rows, found, batch_dims=1), indices


def _gather_elements(batch: Batch, node: ir.Node, data: Place, indices: Place | None) -> Read | None:
    x, wanted = operand(node, 0), operand(node, 1)
    axis = int(attribute(node, "axis", 0)) % len(shape_of(x))
    if indices is None or data.axis != axis or indices.axis != axis or indices.before > 1:
        return None
    found = batch.unfolded(wanted, indices)
    read = batch.op.GatherElements(batch.unfolded(x, data), found, axis=axis + 1)
    return read, indices


def _in_rows(batch: Batch, indices: ir.Value, place: Place | None) -> ir.Value:
    """Return ``indices`` as ``[N, …]``; those that do not depend on the image are the same in every row."""
    if indices.dtype != ir.DataType.INT64:
        indices = _as_int64(batch, indices, place)
    if place is not None:
        return batch.front(indices, place)
    shape = shape_of(indices)
    repeated = batch.op.Expand(
        batch.op.Reshape(indices, [1, *shape]),
        batch.op.Concat(batch.rows(), batch.op.constant([1] * len(shape)), axis=0),
    )
    repeated.shape = ir.Shape([batch.size, *shape])
    return repeated


def _as_int64(batch: Batch, indices: ir.Value, place: Place | None) -> ir.Value:
    cast: ir.Value = batch.op.Cast(indices, to=int(ir.DataType.INT64))
    if place is not None:
        batch.places[cast] = place
    return cast
