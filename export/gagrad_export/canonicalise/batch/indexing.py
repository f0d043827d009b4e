"""Operators that read or write at indices: along axes that are not the batch's, or row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.canonicalise.batch.registry import Placed, carries, spread_others
from gagrad_export.canonicalise.batch.reshaping import view
from gagrad_export.emit import attribute, constant_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from gagrad_export.canonicalise.batch.place import Place
    from gagrad_export.canonicalise.batch.values import Batch


@carries("Gather")
def gather(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Read along another axis than the batch's; ``x[0]`` of a batch of one row is a reshape."""
    data, indices = placed[0], placed[1]
    axis = int(attribute(node, "axis", 0)) % len(shape_of(node.inputs[0]))
    rank = len(shape_of(node.inputs[1]))
    if data is None:
        return None if indices is None else [indices.at(axis + indices.axis)]
    if indices is not None:
        return None
    if data.axis != axis:
        return [data.at(data.axis + (rank - 1 if data.axis > axis else 0))]
    taken = constant_array(node.inputs[1])
    only_row = data.pure and batch.size == 1 and taken is not None and taken.size == 1
    return view(batch, node, placed) if only_row else None


@carries("GatherElements", "ScatterElements")
def elements(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Hold the batch on the same axis of data, indices and updates; another axis is indexed."""
    axis = int(attribute(node, "axis", 0)) % len(shape_of(node.inputs[0]))
    (place, *others) = {place for place in placed if place is not None}
    if others or place.axis == axis:
        return None
    spread_others(batch, node, placed, dict.fromkeys(range(len(node.inputs)), place))
    return [place]


@carries("GatherND")
def gather_nd(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Read with the batch on an axis behind the indexed axes or, with ``batch_dims``, row by row."""
    data, indices = placed[0], placed[1]
    shape = shape_of(node.inputs[1])
    own = int(attribute(node, "batch_dims", 0))
    rows = indices or data
    if rows is not None and rows.axis < own:
        if data not in (None, rows):
            return None
        spread_others(batch, node, placed, {0: rows, 1: rows})
        return [rows]
    if data is None:
        return None if indices is None or indices.axis == len(shape) - 1 else [indices]
    if indices is not None or data.axis < own + shape[-1]:
        return None
    return [data.at(data.axis - own - shape[-1] + len(shape) - 1)]


@carries("ScatterND")
def scatter_nd(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Write with the batch on an axis of data and updates behind the indexed axes."""
    shape = shape_of(node.inputs[1])
    moved = len(shape) - 1 - shape[-1]
    data = placed[0] or (placed[2] and placed[2].at(placed[2].axis - moved))
    if data is None or placed[1] is not None or data.axis < shape[-1]:
        return None
    updates = data.at(data.axis + moved)
    if placed[2] not in (None, updates):
        return None
    spread_others(batch, node, placed, {0: data, 2: updates})
    return [data]


@carries("GridSample")
def grid_sample(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Read each row of the batch at its own grid."""
    (place, *others) = {place for place in placed if place is not None}
    if others or place.axis != 0:
        return None
    spread_others(batch, node, placed, {0: place, 1: place})
    return [place]


@carries("AffineGrid")
def affine_grid(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Put the number of rows into the size ``[N, C, H, W]``, an input of the operator."""
    size = constant_array(node.inputs[1])
    if placed[0] is None or placed[0].axis != 0 or not placed[0].pure or size is None:
        return None
    rest = batch.op.constant(size[1:].tolist())
    node.replace_input_with(1, batch.op.Concat(batch.rows(), rest, axis=0))
    return [placed[0]]
