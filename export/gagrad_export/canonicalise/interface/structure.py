"""The activation behind an output that views, joins and reads values of activations.

A view moves elements and leaves their values, and so do a Concat of parts and a Slice. Where every element of
the output comes out of the same activation, the scores in front of it, moved in the same way, are the scores
of the output.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Literal, TypeAlias

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.canonicalise.fold.selection import read_by, sizes
from gagrad_export.canonicalise.interface.activation import activation_at, step_of
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from gagrad_export.canonicalise.interface.activation import Found, Steps
    from gagrad_export.emit import Op

    Write: TypeAlias = Callable[[Op, bool], ir.Value]

_VIEWS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_READERS = ("Gather", "GatherElements", "GatherND", "Slice", "Split")
_DEEPEST = 200
"""How many operators may lie between the activation and the output."""


@dataclass(frozen=True)
class Tail:
    """What an output is of the activation that all its elements come out of."""

    operator: Literal["LogSoftmax", "Sigmoid", "Softmax"]
    axis: int | None
    """Axis of the output that the softmax ran over, with all its classes; None where there is none."""
    steps: Steps
    """Arithmetic between the activation's output and this value."""
    own_steps: bool
    """Whether the activation itself is written as arithmetic on another: Tanh, Softplus."""
    scores: Write
    """Writes the scores; with True those of the opposite, −s, as 1 − σ(s) = σ(−s)."""


def trailing(output: ir.Value) -> Tail | None:
    """Return the activation behind ``output``; None where there is none, or not the same everywhere."""
    return _Tails().of(output, 0)


class _Tails:
    """The tails of values, each found once."""

    def __init__(self) -> None:
        self._known: dict[ir.Value, Tail | None] = {}

    def of(self, value: ir.Value, depth: int) -> Tail | None:
        if value not in self._known:
            self._known[value] = None if depth > _DEEPEST else self._find(value, depth + 1)
        return self._known[value]

    def _find(self, value: ir.Value, depth: int) -> Tail | None:
        node = value.producer()
        if (found := activation_at(value)) is not None:
            return Tail(found.operator, found.axis, found.steps, bool(found.steps), _write(found))
        if node is None or node.domain != "":
            return None
        if node.op_type in _READERS or (node.op_type in _VIEWS and _is_float(value)):
            return self._moved(value, depth)
        rules = {"Concat": self._joined, "ReduceMax": self._largest, "TopK": self._best}
        return rules.get(node.op_type, self._calculated)(value, node, depth)

    def _calculated(self, _: ir.Value, node: ir.Node, depth: int) -> Tail | None:
        arithmetic = step_of(node)
        inner = None if arithmetic is None else self.of(arithmetic[0], depth)
        if arithmetic is None or inner is None:
            return None
        return replace(inner, steps=(*inner.steps, *arithmetic[1]))

    def _moved(self, value: ir.Value, depth: int) -> Tail | None:
        node = value.producer()
        assert node is not None  # noqa: S101 - the caller looked at it
        inner = self.of(operand(node, 0), depth)
        if inner is None:
            return None

        def write(op: Op, opposite: bool) -> ir.Value:
            return _copy(op, value, [inner.scores(op, opposite), *node.inputs[1:]])

        return replace(
            inner, axis=None if inner.axis is None else _axis_behind(value, inner.axis), scores=write
        )

    def _best(self, value: ir.Value, node: ir.Node, depth: int) -> Tail | None:
        """TopK: the scores at the indices that it found among the values."""
        inner = self.of(operand(node, 0), depth)
        if inner is None or value is not node.outputs[0]:
            return None
        axis = int(attribute(node, "axis", -1)) % len(shape_of(value))

        def write(op: Op, opposite: bool) -> ir.Value:
            return op.GatherElements(inner.scores(op, opposite), node.outputs[1], axis=axis)

        return replace(inner, axis=None if inner.axis == axis else inner.axis, scores=write)

    def _largest(self, value: ir.Value, node: ir.Node, depth: int) -> Tail | None:
        inner = self.of(operand(node, 0), depth)
        if inner is None or inner.operator != "Sigmoid" or inner.steps:
            return None

        def write(op: Op, opposite: bool) -> ir.Value:
            largest = _copy(op, value, [inner.scores(op, False), *node.inputs[1:]])
            return op.Neg(largest) if opposite else largest

        return replace(inner, scores=write)

    def _joined(self, value: ir.Value, node: ir.Node, depth: int) -> Tail | None:
        tails = [self.of(operand(node, index), depth) for index in range(len(node.inputs))]
        parts = [tail for tail in tails if tail is not None]
        if len(parts) < len(tails) or len({(part.operator, part.steps) for part in parts}) > 1:
            return None
        axes = {part.axis for part in parts}
        along = int(attribute(node, "axis")) % len(shape_of(value))
        axis = axes.pop() if len(axes) == 1 else None

        def write(op: Op, opposite: bool) -> ir.Value:
            return _copy(op, value, [part.scores(op, opposite) for part in parts])

        return replace(parts[0], axis=None if axis == along else axis, scores=write)


def _write(found: Found) -> Write:
    def write(op: Op, opposite: bool) -> ir.Value:
        return (replace(found, slope=-found.slope) if opposite else found).scores(op)

    return write


def _copy(op: Op, value: ir.Value, inputs: Sequence[ir.Value | None]) -> ir.Value:
    """Return what the producer of ``value`` makes of other inputs in the place of ``value``."""
    node = value.producer()
    assert node is not None  # noqa: S101 - the caller looked at it
    attributes = {name: item.value for name, item in node.attributes.items()}
    outputs = op.emit(node.op_type, inputs, attributes, len(node.outputs))
    return outputs[list(node.outputs).index(value)]


def _is_float(value: ir.Value) -> bool:
    """Whether the elements keep their values; rounding to an integer is no view."""
    return value.dtype is None or value.dtype.is_floating_point()


def _axis_behind(value: ir.Value, axis: int) -> int | None:
    """Return where ``axis`` of what ``value`` is read from lies in ``value``; None where it is not whole."""
    node = value.producer()
    assert node is not None  # noqa: S101 - the caller looked at it
    shape = shape_of(node.inputs[0])
    if node.op_type in ("Cast", "Identity"):
        return axis
    if node.op_type == "Transpose":
        perm: list[int] = attribute(node, "perm", list(reversed(range(len(shape)))))
        return perm.index(axis)
    if node.op_type in _VIEWS:
        return _same_axis(axis, shape, shape_of(value))
    read = read_by(value)
    if read is not None:
        return (
            None if read.block[axis] is not None else _same_axis(axis, sizes(read.block, shape), read.shape)
        )
    along = int(attribute(node, "axis", 0)) % len(shape)
    if node.op_type != "Gather" or along == axis:
        return None
    return axis if axis < along else axis + len(shape_of(node.inputs[1])) - 1


def _same_axis(axis: int, shape: Sequence[int], target: Sequence[int]) -> int | None:
    outer = prod(shape[:axis])
    found = [i for i, dim in enumerate(target) if dim == shape[axis] and prod(target[:i]) == outer]
    return found[0] if found else None
