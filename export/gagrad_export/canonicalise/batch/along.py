"""Operators that work along given axes, none of which may be the batch's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.canonicalise.batch.registry import Placed, carries, spread_others
from gagrad_export.emit import attribute, constant_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_export.canonicalise.batch.place import Place
    from gagrad_export.canonicalise.batch.values import Batch


@carries(
    *("ArgMax", "ArgMin", "CumSum", "Hardmax", "LayerNormalization", "LogSoftmax", "LpNormalization", "Pad"),
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "ReduceSumSquare", "RMSNormalization", "Softmax", "Split", "Tile", "TopK"),
)
def otheraxes_of(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Keep the batch on its axis; a reduced axis in front of the batch may vanish."""
    place = placed[0]
    if place is None or any(placed[1:]):
        return None
    shape = shape_of(node.inputs[0])
    axes = axes_of(node, len(shape))
    if axes is None or place.axis in axes:
        return None
    vanish = shape_of(node.outputs[0]) != shape and not attribute(node, "keepdims", 1)
    return [place.at(place.axis - sum(axis < place.axis for axis in axes) * vanish)] * len(node.outputs)


@carries("Slice")
def slice_(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """As ``other_axes``; a slice of the whole batch is rewritten to take a batch of any size."""
    place = placed[0]
    if place is None or any(placed[1:]):
        return None
    known = [constant_array(value) for value in node.inputs[1:3]]
    shape, target = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    axes = axes_of(node, len(shape))
    if axes is None or place.axis not in axes:
        return None if axes is None else [place]
    if known[0] is None or known[1] is None or shape[place.axis] != target[place.axis]:
        return None
    index, starts, ends = axes.index(place.axis), known[0].copy(), known[1].copy()
    if len(node.inputs) > 4 and (steps := constant_array(node.inputs[4])) is not None and steps[index] < 0:
        return None
    starts[index], ends[index] = 0, np.iinfo(np.int64).max
    node.replace_input_with(1, batch.op.constant(starts.tolist()))
    node.replace_input_with(2, batch.op.constant(ends.tolist()))
    return [place]


@carries("MeanVarianceNormalization")
def standardised(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Take the batch off the axes of the mean, where the batch is one row: each row gets its own mean."""
    place, axes = placed[0], list(attribute(node, "axes"))
    if place is None or (place.axis in axes and shape_of(node.inputs[0])[place.axis] > 1):
        return None
    node.attributes["axes"] = ir.AttrInt64s("axes", [axis for axis in axes if axis != place.axis])
    return [place]


@carries("GRU", "LSTM", "RNN")
def recurrent(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """``[L, N, C]`` (``[N, L, C]`` with layout 1): the states have the batch, too."""
    layout = int(attribute(node, "layout", 0))
    place = placed[0]
    if place is None or place.axis != 1 - layout:
        return None
    state, lengths = place.at(1 - layout), place.at(0)
    wanted = {4: lengths, 5: state, 6: state}
    if any(part is not None and part != wanted.get(index, place) for index, part in enumerate(placed)):
        return None
    spread_others(batch, node, placed, wanted)
    return [place.at(0 if layout else 2), state, state]


def axes_of(node: ir.Node, rank: int) -> list[int] | None:
    """Return the axes that ``node`` works along; None when they are computed."""
    shape, target = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if node.op_type in ("Pad", "Tile"):
        # Where the extent is the same, nothing was added or repeated; a shift by pads of ±k is unheard of.
        return [axis for axis in range(rank) if shape[axis] != target[axis]]
    if node.op_type in ("LayerNormalization", "RMSNormalization"):
        return list(range(int(attribute(node, "axis", -1)) % rank, rank))
    position = {"Slice": 3, "CumSum": 1}.get(node.op_type, 1 if node.op_type.startswith("Reduce") else 0)
    given = node.inputs[position] if 0 < position < len(node.inputs) else None
    if given is not None:
        array = constant_array(given)
        return None if array is None else [int(axis) % rank for axis in np.atleast_1d(array)]
    if node.op_type == "Slice":
        starts = constant_array(node.inputs[1])
        return None if starts is None else list(range(len(starts)))
    if node.op_type.startswith("Reduce"):
        return [] if attribute(node, "noop_with_empty_axes", 0) else list(range(rank))
    default = {"Softmax": -1, "LogSoftmax": -1, "Hardmax": -1, "LpNormalization": -1, "TopK": -1}
    return [int(attribute(node, "axis", default.get(node.op_type, 0))) % rank]
