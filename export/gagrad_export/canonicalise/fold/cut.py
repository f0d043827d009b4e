"""Leave out what is computed and then not read.

A detector ends in ``Concat(boxes, Sigmoid(class scores))``, and the question is about the scores. Before:
``Slice(Transpose(Concat(boxes, scores)))``. After: ``Transpose(scores)``; nothing of the boxes is left. The
part that is read is followed backwards through operators that move elements or treat each by itself, up to
an operator that puts parts together: a Concat, a ScatterND with constant indices (``y[..., 0:2] = v`` in
torch), or a Where with a constant condition.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import onnx_ir as ir

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.fold.selection import (
    composed,
    explicit,
    is_whole,
    positions,
    read_by,
    reshaped,
    separated,
    sizes,
    taken,
    whole,
)
from gagrad_export.canonicalise.rewrite.writing import op_before
from gagrad_export.emit import attribute, constant_array, operand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gagrad_export.canonicalise.fold.selection import Block
    from gagrad_export.emit import Op

    Write: TypeAlias = Callable[[Op], ir.Value]

_READERS = ("Gather", "GatherND", "Slice", "Split")
_VIEWS = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_FIRST = (
    *("Abs", "Cast", "Ceil", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid"),
    *("HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round"),
    *("Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh"),
)
"""Operators that treat each element of their first input by itself."""
_ALL = (
    *("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min"),
    *("Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Xor"),
)
"""Operators that treat the elements of all inputs by themselves, with broadcasting."""
_DEEPEST = 200
"""How many operators a part is followed through."""


@dataclass
class Plan:
    """How to compute a part of a value, before anything is written."""

    write: Write
    drops: bool = False
    """Whether something that the whole value needs is left out."""
    value: ir.Value | None = None
    """The part, once it is written."""

    def written(self, op: Op) -> ir.Value:
        """Write the part, once."""
        if self.value is None:
            self.value = self.write(op)
        return self.value


class CutAway(Pass):
    """Lets nodes that read a part of a value compute that part alone, where something is left out so."""

    needs = Known.FIXED
    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at the reading nodes in order, so that what one reads has been cut before."""
        parts, modified = _Parts(), False
        for node in list(model.graph):
            if node.domain != "" or node.op_type not in _READERS:
                continue
            op = op_before(node)
            for output in node.outputs:
                plan = parts.of_read(output, whole(len(shape_of(output))), 0)
                if plan is None or not plan.drops:
                    continue
                # The part may be an input or a value that others read, so it is held by a node of its own.
                part = op.Identity(plan.written(op))
                ir.convenience.replace_all_uses_with(output, part, replace_graph_outputs=True)
                modified = True
        return ir.passes.PassResult(model, modified)


class _Parts:
    """Plans for parts of values, each made once: two ways may lead to the same part."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Plan] = {}

    def of(self, value: ir.Value, block: Block, depth: int) -> Plan:
        """Return the plan for ``block`` of ``value``."""
        if is_whole(block):
            return Plan(lambda _: value)
        key = (value, *(None if part is None else part.tobytes() for part in block))
        if key not in self._known:
            plan = None if depth > _DEEPEST else self._through(value, block, depth + 1)
            # Where nothing is left out on the way, the part is read here.
            self._known[key] = plan if plan and plan.drops else Plan(lambda op: taken(op, value, block))
        return self._known[key]

    def of_read(self, output: ir.Value, block: Block, depth: int) -> Plan | None:
        """Return the plan for ``block`` of what a reading node returns."""
        read = read_by(output)
        inner = None if read is None else composed(block, read)
        if read is None or inner is None:
            return None
        plan, shape = self.of(read.data, inner, depth), sizes(block, read.shape)
        return Plan(lambda op: _in_shape(op, plan.written(op), shape), plan.drops)

    def _through(self, value: ir.Value, block: Block, depth: int) -> Plan | None:
        """Return the plan by which the producer of ``value`` computes ``block``; None where it cannot."""
        node = value.producer()
        if node is None or node.domain != "":
            return None
        if node.op_type in _READERS:
            return self.of_read(value, block, depth)
        rules = {
            **dict.fromkeys(_VIEWS, self._view),
            **dict.fromkeys(_FIRST, self._first),
            **dict.fromkeys(_ALL, self._elementwise),
            **dict.fromkeys(("LogSoftmax", "Softmax"), self._softmax),
            "Concat": self._concat,
            "Expand": self._expand,
            "ScatterND": self._scatter,
            "Transpose": self._transpose,
            "Where": self._where,
        }
        return rules[node.op_type](node, block, depth) if node.op_type in rules else None

    def _view(self, node: ir.Node, block: Block, depth: int) -> Plan | None:
        x, shape = operand(node, 0), shape_of(node.outputs[0])
        inner = reshaped(block, shape, shape_of(x))
        if inner is None:
            return None
        plan = self.of(x, inner, depth)
        return Plan(lambda op: op.Reshape(plan.written(op), sizes(block, shape)), plan.drops)

    def _first(self, node: ir.Node, block: Block, depth: int) -> Plan:
        return self._elementwise(node, block, depth, 1)

    def _elementwise(self, node: ir.Node, block: Block, depth: int, count: int | None = None) -> Plan:
        count = len(node.inputs) if count is None else count
        plans = [
            self.of(value, _broadcast(block, shape_of(node.outputs[0]), shape_of(value)), depth)
            for value in node.inputs[:count]
            if value is not None
        ]

        def write(op: Op) -> ir.Value:
            return _copy(op, node, [*(plan.written(op) for plan in plans), *node.inputs[count:]])

        return Plan(write, any(plan.drops for plan in plans))

    def _softmax(self, node: ir.Node, block: Block, depth: int) -> Plan | None:
        axis = int(attribute(node, "axis", -1)) % len(block)
        return None if block[axis] is not None else self._elementwise(node, block, depth, 1)

    def _transpose(self, node: ir.Node, block: Block, depth: int) -> Plan:
        perm = attribute(node, "perm", list(reversed(range(len(block)))))
        plan = self.of(operand(node, 0), tuple(block[perm.index(axis)] for axis in range(len(perm))), depth)
        return Plan(lambda op: op.Transpose(plan.written(op), perm=perm), plan.drops)

    def _expand(self, node: ir.Node, block: Block, depth: int) -> Plan:
        x, shape = operand(node, 0), shape_of(node.outputs[0])
        plan = self.of(x, _broadcast(block, shape, shape_of(x)), depth)
        return Plan(lambda op: op.Expand(plan.written(op), sizes(block, shape)), plan.drops)

    def _concat(self, node: ir.Node, block: Block, depth: int) -> Plan | None:
        axis = int(attribute(node, "axis")) % len(block)
        inputs = [operand(node, index) for index in range(len(node.inputs))]
        extents = [shape_of(value)[axis] for value in inputs]
        part = np.arange(sum(extents)) if block[axis] is None else block[axis]
        assert part is not None  # noqa: S101 - for mypy
        ends = np.cumsum(extents)
        owners = np.searchsorted(ends, part, side="right")
        borders = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(part)]
        plans = []
        for first, last in pairwise(borders):
            if first == last:
                continue
            owner = int(owners[first])
            local = positions(part[first:last] - (ends[owner] - extents[owner]), extents[owner])
            plans.append(self.of(inputs[owner], (*block[:axis], local, *block[axis + 1 :]), depth))
        if not plans or len(plans) > len(inputs):
            return None

        def write(op: Op) -> ir.Value:
            parts = [plan.written(op) for plan in plans]
            return parts[0] if len(parts) == 1 else op.Concat(*parts, axis=axis)

        touched = len(set(owners.tolist())) < len(inputs)
        return Plan(write, touched or any(plan.drops for plan in plans))

    def _where(self, node: ir.Node, block: Block, depth: int) -> Plan:
        """Leave the other branch out where the condition is constant and the same for the whole block."""
        shape, condition = shape_of(node.outputs[0]), constant_array(node.inputs[0])
        if condition is None:
            return self._elementwise(node, block, depth)
        inner = _broadcast(block, shape, condition.shape)
        part = condition[np.ix_(*explicit(inner, condition.shape))]
        if part.size == 0 or (part != part.flat[0]).any():
            return self._elementwise(node, block, depth)
        branch = operand(node, 1 if part.flat[0] else 2)
        plan = self.of(branch, _broadcast(block, shape, shape_of(branch)), depth)
        return Plan(lambda op: op.Expand(plan.written(op), sizes(block, shape)), drops=True)

    def _scatter(self, node: ir.Node, block: Block, depth: int) -> Plan | None:
        """``ScatterND`` where all of the block is written, or nothing of it."""
        data, indices, updates = operand(node, 0), constant_array(node.inputs[1]), operand(node, 2)
        if indices is None or indices.size == 0 or attribute(node, "reduction", "none") != "none":
            return None
        shape, count, rank = shape_of(data), list(indices.shape[:-1]), indices.shape[-1]
        writer = np.full(shape[:rank], -1)
        writer[tuple(indices[..., axis] for axis in range(rank))] = np.arange(prod(count)).reshape(count)
        part = writer[np.ix_(*explicit(block[:rank], shape[:rank]))]
        if (part < 0).all():
            plan = self.of(data, block, depth)
        elif (part < 0).any() or (named := separated(part.ravel(), count)) is None:
            return None
        else:
            plan = self.of(updates, (*named, *block[rank:]), depth)
        return Plan(lambda op: _in_shape(op, plan.written(op), sizes(block, shape)), drops=True)


def _in_shape(op: Op, value: ir.Value, shape: Sequence[int]) -> ir.Value:
    return value if shape_of(value) == list(shape) else op.Reshape(value, list(shape))


def _copy(op: Op, node: ir.Node, inputs: Sequence[ir.Value | None]) -> ir.Value:
    """Return what the operator of ``node`` makes of other inputs."""
    attributes = {name: item.value for name, item in node.attributes.items()}
    return op.emit(node.op_type, inputs, attributes)[0]


def _broadcast(block: Block, shape: Sequence[int], source: Sequence[int]) -> Block:
    """Return the block of an operand of shape ``source`` that is broadcast to ``shape``."""
    own = block[len(shape) - len(source) :]
    long = shape[len(shape) - len(source) :]
    return tuple(
        None if extent == 1 and full != 1 else part
        for part, extent, full in zip(own, source, long, strict=True)
    )
