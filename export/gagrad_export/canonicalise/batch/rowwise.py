"""Reading at computed indices out of data that has the batch along the axis that is read.

torch exports ``x[rows, best]``, with ``x [N, A, C]``, as a Gather from the flattened ``[N·A, C]`` at the
indices ``row · A + best``, and as a GatherND whose index tuples begin with the row. In a model for one image
every index lies within its row, by the extent of the axis. In a model for several, the remainder by A does:
an index into another row would mix images, and what is explained is what the model makes of each alone, as
the exporter proves.

After: GatherND row by row (``batch_dims=1``), for data and indices that have the batch on their first axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.canonicalise.batch.place import Place, shape_of
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_export.canonicalise.batch.registry import Placed
    from gagrad_export.canonicalise.batch.values import Batch


def row_by_row(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Let ``node`` read within rows; return the places of its outputs, or None where that is not possible."""
    data = placed[0]
    if node.domain != "" or data is None or (batch.size > 1 and data.before > 1):
        return None
    rules = {"Gather": _gather, "GatherElements": _gather_elements, "GatherND": _gather_nd}
    return rules[node.op_type](batch, node, data, placed[1]) if node.op_type in rules else None


def _gather(batch: Batch, node: ir.Node, data: Place, indices: Place | None) -> Sequence[Place] | None:
    x, wanted = operand(node, 0), operand(node, 1)
    axis = int(attribute(node, "axis", 0)) % len(shape_of(x))
    if batch.size > 1 and (data.axis != axis or indices is None):
        return None
    found = _in_rows(batch, wanted, indices)
    if data.axis == axis:
        rows, extent = _kept(batch, x, data), data.before * data.after
        found = _within(batch, found, np.array(extent))
        own = axis + 1
    else:
        rows = batch.front(x, data)
        own = axis + 1 - (data.pure and data.axis < axis)
    rank, taken = len(shape_of(rows)), len(shape_of(found)) - 1
    others = [i for i in range(1, rank) if i != own]
    read = batch.op.GatherND(
        batch.op.Transpose(rows, perm=[0, own, *others]), batch.op.Unsqueeze(found, [-1]), batch_dims=1
    )
    # [N, indices…, others…] → [N, others in front…, indices…, others behind…]
    front = [taken + 1 + i for i, other in enumerate(others) if other < own]
    behind = [taken + 1 + i for i, other in enumerate(others) if other > own]
    read = batch.op.Transpose(read, perm=[0, *front, *range(1, taken + 1), *behind])
    return _leave(batch, node, read, None if indices is None else indices.at(axis + indices.axis))


def _gather_nd(batch: Batch, node: ir.Node, data: Place, indices: Place | None) -> Sequence[Place] | None:
    x, wanted = operand(node, 0), operand(node, 1)
    depth = shape_of(wanted)[-1]
    inside = data.axis < depth
    if attribute(node, "batch_dims", 0) or (batch.size > 1 and (not inside or indices is None)):
        return None
    if indices is not None and indices.axis == len(shape_of(wanted)) - 1:
        return None
    found = _in_rows(batch, wanted, indices)
    if inside:
        rows = _kept(batch, x, data)
        extents = shape_of(rows)[1 : depth + 1]
        found = _within(batch, found, np.array(extents))
    else:
        rows = batch.front(x, data)
    return _leave(batch, node, batch.op.GatherND(rows, found, batch_dims=1), indices)


def _gather_elements(
    batch: Batch, node: ir.Node, data: Place, indices: Place | None
) -> Sequence[Place] | None:
    x, wanted = operand(node, 0), operand(node, 1)
    axis = int(attribute(node, "axis", 0)) % len(shape_of(x))
    if indices is None or data.axis != axis or indices.axis != axis or indices.before > 1:
        return None
    found = _within(batch, _kept(batch, wanted, indices), np.array(data.before * data.after))
    read = batch.op.GatherElements(_kept(batch, x, data), found, axis=axis + 1)
    return _leave(batch, node, read, indices)


def _kept(batch: Batch, value: ir.Value, place: Place) -> ir.Value:
    """Return ``value`` as ``[N, …]`` with all its axes behind the batch; 1 is left of the batch's own."""
    shape, rows = shape_of(value), batch.front(value, place)
    if not place.pure:
        return rows
    kept = [*shape[: place.axis], 1, *shape[place.axis + 1 :]]
    return batch.reshaped(rows, [-1, *kept], [batch.size, *kept])


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


def _within(batch: Batch, indices: ir.Value, extent: np.ndarray) -> ir.Value:
    """Return where in its row each index lies; in a model for one image it is the index itself."""
    return indices if batch.size == 1 else batch.op.Mod(indices, extent)


def _leave(batch: Batch, node: ir.Node, rows: ir.Value, place: Place | None) -> Sequence[Place] | None:
    """Let ``rows [N, …]`` take the place of what ``node`` returns, with the batch at ``place``."""
    shape = shape_of(node.outputs[0])
    if place is None:
        if not shape:
            return None
        place = Place(0, 1, shape[0])
    value = batch.behind(rows, place, shape)
    node.op_type = "Reshape"
    node.attributes.clear()
    node.resize_inputs(2)
    node.replace_input_with(0, value)
    node.replace_input_with(1, batch.op.constant(place.free(shape)))
    return [place]
