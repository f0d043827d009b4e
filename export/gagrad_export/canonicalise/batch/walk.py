"""Free the batch: follow it from the image through every operator of the graph.

Shapes are first inferred for the number of rows that the model's file asks for (one row, where the batch is
free), so that every shape is a number and everything computed from shapes is a constant. Then the rule of
each operator, in order, says where its outputs hold the batch (``registry``). Constants that were made for
the fixed number of rows (targets of Reshape and Expand, class tokens, masks) are rewritten where they meet
the batch. The new graph computes for each row what the model computes for that row alone; the exporter proves
that afterwards.
"""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.batch.place import Place, places, shape_of
from gagrad_export.canonicalise.batch.registry import find_batch_rule
from gagrad_export.canonicalise.batch.rowwise import read_in_rows
from gagrad_export.canonicalise.batch.unfold import go_along_rows
from gagrad_export.canonicalise.batch.values import ONE_ROW, Batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_COMBINATIONS = 10_000
"""The most combinations to try where each input of a node gets a place of its own."""


def free_batch(graph: ir.Graph, size: int) -> Batch:
    """Free the batch of the graph, whose image has ``size`` rows; return what is known of its values.

    New nodes stand at the end, and shapes still are those of the fixed batch. Raises ModelError.
    """
    batch = Batch(graph, size)
    for node in list(graph):
        carry(batch, node)
    return batch


def carry(batch: Batch, node: ir.Node) -> None:
    """Find the places of the outputs of ``node``; reshape inputs whose places the operator cannot take."""
    if any(value in batch.places for value in _captured(node)):
        raise _not_followed(node, batch.size)
    if not any(value in batch.places for value in node.inputs if value is not None):
        return
    rule = find_batch_rule(node)
    for choice in _combinations(batch, node):
        outputs = rule(batch, node, choice)
        if outputs is not None:
            _move_inputs(batch, node, choice)
            batch.places.update(zip(node.outputs, outputs, strict=False))
            return
    placed = [None if value is None else batch.places.get(value) for value in node.inputs]
    if not (read_in_rows(batch, node, placed) or go_along_rows(batch, node, placed)):
        raise _not_followed(node, batch.size)


def _combinations(batch: Batch, node: ir.Node) -> Iterator[Sequence[Place | None]]:
    """Yield places for the inputs, in the order to try: inputs of one shape and place are first kept alike.

    A Concat of the steps of an unrolled recurrence has more combinations than can be tried.
    """
    alike = [
        None if value is None or value not in batch.places else (*shape_of(value), batch.places[value])
        for value in node.inputs
    ]
    choices = {key: _choices(batch, value) for key, value in zip(alike, node.inputs, strict=True)}
    for choice in product(*choices.values()):
        chosen = dict(zip(choices, choice, strict=True))
        yield [chosen[key] for key in alike]
    yield from islice(product(*[_choices(batch, value) for value in node.inputs]), _MOST_COMBINATIONS)


def _choices(batch: Batch, value: ir.Value | None) -> list[Place | None]:
    if value is None or value not in batch.places:
        return [None]
    shape, place = shape_of(value), batch.places[value]
    others = places(shape, place.outer(shape), batch.size)
    if batch.size == 1 and shape:
        # Always possible, at the cost of moving the elements: whole rows, one after the other.
        others.append(Place(0, 1, shape[0]))
    return [place, *(other for other in others if other != place)]


def _move_inputs(batch: Batch, node: ir.Node, choice: Sequence[Place | None]) -> None:
    for index, place in enumerate(choice):
        value = None if place is None else node.inputs[index]
        if place is None or value is None or batch.places[value] == place:
            continue
        shape = shape_of(value)
        if place.outer(shape) != batch.places[value].outer(shape):
            value = batch.front(value, batch.places[value])
        node.replace_input_with(index, batch.reshaped(value, place.free(shape), shape))


def _captured(node: ir.Node) -> Iterator[ir.Value]:
    """Yield the values that the subgraphs of ``node`` (If, Loop) read."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in ir.traversal.RecursiveGraphIterator(attribute.as_graph()):
                yield from (value for value in inner.inputs if value is not None)


def _not_followed(node: ir.Node, size: int) -> ModelError:
    shapes = ", ".join(str(value.shape) for value in node.inputs if value is not None)
    several = (
        f"{ONE_ROW}: this one was made for {size} images at a time, and what it does with the number of each "
        "cannot be undone"
    )
    return ModelError(
        f"operator {node.op_type} computes across the rows of a batch, or in a way that gagrad-edge cannot "
        f"follow (inputs {shapes}), so it cannot explain several perturbed copies at once",
        where=f"node {node.name!r}",
        hint=several
        if size > 1
        else "choose an output in front of it with `output_name`, or export the model such that the batch "
        "stays the first axis",
    )
