"""Chunks of an axis that are worked on one after the other, as one.

PatchCore compares its patches [R·P, C] with its memory in chunks of 1024, and one of them holds patches of
two of the R images. Before: ``Concat(f(x[:1024]), f(x[1024:]))`` along axis 0, f works row by row. After:
``f(x)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.canonicalise.batch.along import axes_of
from gagrad_export.canonicalise.rewrite.writing import Rewriting, rows_of, standard_nodes
from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_export.emit import Op

_ALONE = ("Abs", "Cast", "Clip", "Exp", "Identity", "Log", "Neg", "Relu", "Sigmoid", "Sqrt", "Tanh")
_TOGETHER = ("Add", "Div", "Max", "Min", "Mul", "Pow", "Sub")
_ALONG = (
    *("ArgMax", "ArgMin", "LogSoftmax", "Softmax", "TopK"),
    *("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare"),
)


class MergeChunks(Rewriting):
    """Rewrites every Concat of such chunks in a model for several images; those of one image stay."""

    def nodes(self, graph: ir.Graph) -> list[ir.Node]:
        """Return every Concat along axis 0."""
        found = standard_nodes(graph, ("Concat",)) if rows_of(graph) > 1 else []
        return [node for node in found if attribute(node, "axis") == 0 and len(node.inputs) > 1]

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value] | None:
        """Return what the chunks together are; None where they are no such chunks."""
        whole = _together(list(node.inputs))
        return None if whole is None else [op.Identity(_written(op, whole))]


@dataclass(frozen=True)
class _Made:
    """What the nodes of all chunks make together: an output of a node like ``value``'s with these inputs."""

    value: ir.Value
    inputs: tuple[_Made | ir.Value | None, ...]


def _together(values: Sequence[ir.Value | None]) -> _Made | ir.Value | None:
    """Return what the values of the chunks, in order, are together; None where that is not known."""
    nodes = [node for value in values if value is not None and (node := value.producer()) is not None]
    first = nodes[0] if nodes else None
    if first is None or len(nodes) < len(values) or not all(_alike(node, first) for node in nodes):
        return None
    if first.op_type == "Slice":
        return _sliced(nodes)
    if len({node.outputs.index(value) for node, value in zip(nodes, values, strict=True)}) > 1:
        return None
    inputs: list[_Made | ir.Value | None] = []
    parted = []
    for each in zip(*(node.inputs for node in nodes), strict=True):
        parted.append(any(value is not each[0] for value in each))
        inputs.append(_together(each) if parted[-1] else each[0])
        if parted[-1] and inputs[-1] is None:
            return None
    assert values[0] is not None  # noqa: S101 - it has a producer
    return _Made(values[0], tuple(inputs)) if _works_by_rows(first, parted) else None


def _alike(node: ir.Node, other: ir.Node) -> bool:
    """Whether two nodes are the same but for their inputs."""
    return (
        (node.domain, node.op_type, len(node.inputs)) == (other.domain, other.op_type, len(other.inputs))
        and {name: item.value for name, item in node.attributes.items()}
        == {name: item.value for name, item in other.attributes.items()}
        and node.domain == ""
    )


def _sliced(nodes: Sequence[ir.Node]) -> ir.Value | None:
    """Return the value that Slices along axis 0 cut into pieces, in order and without a gap."""
    x = operand(nodes[0], 0)
    length, behind = static_shape(x)[0], 0
    for node in nodes:
        start, end, axes, steps = (
            None if index >= len(node.inputs) else constant_array(node.inputs[index])
            for index in (1, 2, 3, 4)
        )
        if operand(node, 0) is not x or start is None or end is None or start.tolist() != [behind]:
            return None
        if axes is None or axes.tolist() != [0] or (steps is not None and steps.tolist() != [1]):
            return None
        behind = int(end[0])
    return x if length is not None and behind >= length else None


def _works_by_rows(node: ir.Node, parted: Sequence[bool]) -> bool:
    """Whether ``node`` works on each element of axis 0 for itself; ``parted`` are the inputs of the chunk."""
    if node.op_type in _TOGETHER:
        rank = len(static_shape(node.outputs[0]))
        shapes = [static_shape(value) for value in node.inputs if value is not None]
        return all(
            len(extents) == rank if of_chunk else len(extents) < rank or extents[0] == 1
            for extents, of_chunk in zip(shapes, parted, strict=True)
        )
    if not parted[0] or any(parted[1:]):
        return False
    shape = static_shape(operand(node, 0))
    if node.op_type == "MatMul":
        return len(shape) == len(static_shape(operand(node, 1))) == 2
    axes = axes_of(node, len(shape)) if node.op_type in _ALONG else []
    return node.op_type in (*_ALONE, *_ALONG) and axes is not None and 0 not in axes


def _written(op: Op, whole: _Made | ir.Value) -> ir.Value:
    if isinstance(whole, ir.Value):
        return whole
    node = whole.value.producer()
    assert node is not None  # noqa: S101 - a chunk is made by a node
    inputs = [None if value is None else _written(op, value) for value in whole.inputs]
    attributes = {name: item.value for name, item in node.attributes.items()}
    made = op.emit(node.op_type, inputs, attributes, len(node.outputs))
    return made[node.outputs.index(whole.value)]
