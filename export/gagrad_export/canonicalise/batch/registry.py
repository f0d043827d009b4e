"""The table of how operators pass the batch on: ``rule(batch, node, placed) → places of the outputs``.

``placed`` has one entry per input, None for those that do not depend on the image. A rule returns None,
before it changes anything, when the batch cannot lie there; other places are then tried. An operator that
is not listed is taken to work row by row along axis 0, which the exporter proves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.emit import operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.canonicalise.batch.place import Place
    from gagrad_export.canonicalise.batch.values import Batch

Placed: TypeAlias = "Sequence[Place | None]"
Rule: TypeAlias = Callable[["Batch", "ir.Node", "Placed"], "Sequence[Place] | None"]

_rules: dict[str, Rule] = {}


def find_batch_rule(node: ir.Node) -> Rule:
    """Return the rule for the operator of ``node``."""
    return _rules.get(node.op_type, along_axis_0) if node.domain == "" else along_axis_0


def carries(*op_types: str) -> Callable[[Rule], Rule]:
    """Register the decorated rule for ``op_types``."""

    def register(rule: Rule) -> Rule:
        _rules.update(dict.fromkeys(op_types, rule))
        return rule

    return register


def along_axis_0(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Convolution, pooling, normalisation, and whatever is not listed: each element of axis 0 for itself."""
    if placed[0] is None or placed[0].axis != 0 or any(placed[1:]):
        return None
    extent = shape_of(node.inputs[0])[0]
    if any(shape_of(value)[:1] != [extent] for value in node.outputs):
        return None
    return [placed[0]] * len(node.outputs)


def spread_others(batch: Batch, node: ir.Node, placed: Placed, wanted: Mapping[int, Place]) -> None:
    """Repeat inputs that do not depend on the image for each row, each at the place ``wanted`` of it."""
    for index, place in wanted.items():
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None and placed[index] is None:
            node.replace_input_with(index, batch.spread(value, place))


def common_place(batch: Batch, node: ir.Node, placed: Placed) -> Place | None:
    """Return the place in the broadcast shape that all inputs share, after repeating those that lack it.

    None when they do not share one, or when an input without it is longer along that axis.
    """
    shapes = [shape_of(value) for value in node.inputs]
    rank = max(map(len, shapes))
    found = {
        place.at(place.axis + rank - len(shape))
        for place, shape in zip(placed, shapes, strict=True)
        if place is not None
    }
    (place, *others) = found
    if others:
        return None
    extent = place.before * batch.size * place.after
    lacking = []
    for index, (part, shape) in enumerate(zip(placed, shapes, strict=True)):
        axis = place.axis - rank + len(shape)
        if part is None and axis >= 0 and shape[axis] != 1:
            if shape[axis] != extent:
                return None
            lacking.append((index, axis))
    for index, axis in lacking:
        node.replace_input_with(index, batch.spread(operand(node, index), place.at(axis)))
    return place
