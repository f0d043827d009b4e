"""Carry the batch through the graph, operator by operator, and rewrite what was fixed to its size.

Whatever a model was exported with, its shapes are first inferred for the rows that its file asks for (one,
where they are free), so that every shape is a number and everything computed from shapes is a constant.
Then the batch is followed from the image on. Constants that were made for the fixed number of rows
(targets of Reshape and Expand, class tokens, masks) are rewritten where they meet it. The result computes
for each row what the model computes for it alone; the exporter proves that afterwards.
"""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.batch.place import Place, places
from gagrad_export.canonicalise.batch.registry import find_batch_rule, shape_of
from gagrad_export.emit import Op, constant_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH = "N"

_MOST_WAYS = 10_000
"""To place the inputs of one node, each for itself."""


def free_batch(graph: ir.Graph, size: int) -> Batch:
    """Free the batch of the graph, whose image has ``size`` rows; return what is known of its values.

    New nodes stand at the end, and shapes still are those of the fixed batch. Raises ModelError.
    """
    batch = Batch(graph, size)
    for node in list(graph):
        batch.carry(node)
    return batch


class Batch:
    """The values that depend on the image, and where each has the batch (``places``)."""

    def __init__(self, graph: ir.Graph, size: int) -> None:
        self.op = Op(graph, "batch")
        self.size = size
        self.places: dict[ir.Value, Place] = {graph.inputs[0]: Place(0)}
        self._count: ir.Value | None = None

    def carry(self, node: ir.Node) -> None:
        """Place the outputs of ``node``; where its inputs cannot be taken as they lie, reshape them."""
        if any(value in self.places for value in _captured(node)):
            raise _stuck(node)
        if not any(value in self.places for value in node.inputs if value is not None):
            return
        rule = find_batch_rule(node)
        for choice in self._ways(node):
            outputs = rule(self, node, choice)
            if outputs is not None:
                self._move_inputs(node, choice)
                self.places.update(zip(node.outputs, outputs, strict=False))
                return
        raise _stuck(node)

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
                    hint="export the model with a batch of 1 or with a dynamic batch",
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

    def _ways(self, node: ir.Node) -> Iterator[Sequence[Place | None]]:
        """Yield the places at which the inputs may be taken; inputs that lie alike are first taken alike.

        A Concat of the steps of an unrolled recurrence has more combinations than can be tried.
        """
        alike = [
            None if value is None or value not in self.places else (*shape_of(value), self.places[value])
            for value in node.inputs
        ]
        choices = {key: self._choices(value) for key, value in zip(alike, node.inputs, strict=True)}
        for choice in product(*choices.values()):
            chosen = dict(zip(choices, choice, strict=True))
            yield [chosen[key] for key in alike]
        yield from islice(product(*[self._choices(value) for value in node.inputs]), _MOST_WAYS)

    def _choices(self, value: ir.Value | None) -> list[Place | None]:
        if value is None or value not in self.places:
            return [None]
        shape, place = shape_of(value), self.places[value]
        others = places(shape, place.outer(shape), self.size)
        if self.size == 1 and shape:
            # Not free, since the elements move, but always possible: whole rows one behind the other.
            others.append(Place(0, 1, shape[0]))
        return [place, *(other for other in others if other != place)]

    def _move_inputs(self, node: ir.Node, choice: Sequence[Place | None]) -> None:
        for index, place in enumerate(choice):
            value = None if place is None else node.inputs[index]
            if place is None or value is None or self.places[value] == place:
                continue
            shape = shape_of(value)
            if place.outer(shape) != self.places[value].outer(shape):
                value = self.front(value, self.places[value])
            node.replace_input_with(index, self.reshaped(value, place.free(shape), shape))

    def rows(self) -> ir.Value:
        """Return the number of rows, as a shape ``[1]``."""
        if self._count is None:
            self._count = self.op.Shape(self.op.graph.inputs[0], start=0, end=1)
        return self._count


def _captured(node: ir.Node) -> Iterator[ir.Value]:
    """Yield the values that the subgraphs of ``node`` (If, Loop) read."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in ir.traversal.RecursiveGraphIterator(attribute.as_graph()):
                yield from (value for value in inner.inputs if value is not None)


def _stuck(node: ir.Node) -> ModelError:
    shapes = ", ".join(str(value.shape) for value in node.inputs if value is not None)
    return ModelError(
        f"operator {node.op_type} computes across the rows of a batch, or in a way that gagrad-edge cannot "
        f"follow (inputs {shapes}), so it cannot explain several perturbed copies at once",
        where=f"node {node.name!r}",
        hint="choose an output in front of it with --output-name NAME, or export the model such that the "
        "batch stays the first axis",
    )
