"""The values of a graph that hold the batch, where each holds it, and how a value is reshaped around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.batch.place import Place, shape_of
from gagrad_export.emit import Op, constant_array

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = "N"
"""Symbol of the free batch in shapes."""
ONE_ROW = "export the model with a batch of 1 or with a dynamic batch"
"""How to mend whatever fails because a model's file was made for several images at a time."""


class Batch:
    """The values that depend on the image, and where each has the batch (``places``)."""

    def __init__(self, graph: ir.Graph, size: int) -> None:
        self.op = Op(graph, "batch")
        self.size = size
        self.places: dict[ir.Value, Place] = {graph.inputs[0]: Place(0)}
        self._count: ir.Value | None = None

    def spread(self, value: ir.Value, place: Place) -> ir.Value:
        """Return ``value``, which does not depend on the image, with a copy for each row at ``place``.

        Raises ModelError when it was made for several rows and differs from row to row.
        """
        shape = shape_of(value)
        parts = place.split(shape, self.size)
        axis = place.axis + 1
        array = constant_array(value)
        if array is not None and self.size > 1:
            rows = array.reshape(parts)
            if (rows != rows.take([0], axis)).any():
                raise ModelError(
                    f"the constant {value.name!r} differs between the {self.size} rows of the batch",
                    hint=ONE_ROW,
                )
        one = self.op.Slice(self.op.Reshape(value, parts), [0], [1], [axis])
        shape_parts = [self.op.constant(parts[:axis]), self.rows(), self.op.constant(parts[axis + 1 :])]
        repeated = self.op.Expand(one, self.op.Concat(*shape_parts, axis=0))
        return self.reshaped(repeated, place.free(shape), shape)

    def front(self, value: ir.Value, place: Place) -> ir.Value:
        """Return ``value`` as ``[N, row…]``."""
        shape = shape_of(value)
        row = place.row(shape)
        if place.outer(shape) == 1:
            return self.reshaped(value, [-1, *row], [self.size, *row])
        parts = self.op.Reshape(value, place.split(shape, -1))
        rest = [axis for axis in range(len(shape) + 2) if axis != place.axis + 1]
        parts = self.op.Transpose(parts, perm=[place.axis + 1, *rest])
        return self.reshaped(parts, [-1, *row], [self.size, *row])

    def unfolded(self, value: ir.Value, place: Place) -> ir.Value:
        """Return ``value`` as ``[N, …]`` with all its axes behind the batch; 1 is left of the batch's own."""
        shape, rows = shape_of(value), self.front(value, place)
        if not place.pure:
            return rows
        kept = [*shape[: place.axis], 1, *shape[place.axis + 1 :]]
        return self.reshaped(rows, [-1, *kept], [self.size, *kept])

    def leave(self, node: ir.Node, rows: Sequence[ir.Value], place: Place | None) -> bool:
        """Let values ``[N, …]`` take the place of the outputs of ``node``, with the batch at ``place``.

        By default one row is the outermost digit of the first axis. False where there is no axis.
        """
        shapes = [shape_of(value) for value in node.outputs]
        if not all(shapes):
            return False
        for output, value, shape in zip(node.outputs, rows, shapes, strict=True):
            own = place or Place(0, 1, shape[0])
            result = self.reshaped(self._behind(value, own, shape), own.free(shape), shape)
            ir.convenience.replace_all_uses_with(output, result, replace_graph_outputs=True)
            self.places[result] = own
        self.op.graph.remove(node, safe=True)
        return True

    def _behind(self, rows: ir.Value, place: Place, shape: Sequence[int]) -> ir.Value:
        """Return ``rows [N, …]`` with its elements in the order of ``shape``."""
        if place.outer(shape) == 1:
            return rows
        outer = [*shape[: place.axis], place.before]
        inner = [place.after, *shape[place.axis + 1 :]]
        parts = self.reshaped(rows, [-1, *outer, *inner], [self.size, *outer, *inner])
        count = len(outer)
        moved: ir.Value = self.op.Transpose(
            parts, perm=[*range(1, count + 1), 0, *range(count + 1, count + 1 + len(inner))]
        )
        return moved

    def reshaped(self, value: ir.Value, target: Sequence[int], shape: Sequence[int]) -> ir.Value:
        """Return ``value`` reshaped to ``target``, which is ``shape`` for the fixed batch."""
        result = self.op.Reshape(value, list(target))
        result.shape = ir.Shape(shape)
        return result

    def become_reshape(self, node: ir.Node, before: Place, after: Place) -> None:
        """Turn ``node``, which keeps its elements in order and the batch at these places, into a Reshape.

        Where the batch stays in its axis, the target is 0, "as in the input", and not −1: engines then know
        that it is the same batch, and keep the layout of convolutions.
        """
        shape = shape_of(node.outputs[0])
        target = after.free(shape)
        if before == after and shape_of(node.inputs[0])[before.axis] == shape[after.axis]:
            target[after.axis] = 0
        node.op_type = "Reshape"
        node.attributes.clear()
        node.resize_inputs(2)
        node.replace_input_with(1, self.op.constant(target))

    def rows(self) -> ir.Value:
        """Return the number of rows, as a shape ``[1]``."""
        if self._count is None:
            self._count = self.op.Shape(self.op.graph.inputs[0], start=0, end=1)
        return self._count
