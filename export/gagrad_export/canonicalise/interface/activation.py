"""Which activation a value is the output of, and what elementwise arithmetic does to it afterwards.

A model's last operator is often not its activation: Keras clips probabilities, a converter multiplies them
by 100, a loss takes their logarithm. ``Steps`` holds such arithmetic, and ``reading`` tells whether the
probabilities are still there behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.emit import attribute, constant_array, operand

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op

    Array = NDArray[np.float64]

ALIKE = 1e-4
"""Largest difference between the model's own probability and the one without the arithmetic behind it."""

Kind: TypeAlias = Literal["scale", "offset", "at-least", "at-most", "log", "exp"]


@dataclass(frozen=True)
class Step:
    """One elementwise operation behind an activation."""

    kind: Kind
    value: float = 0.0

    def apply(self, x: Array) -> Array:
        """Return the operation's output for ``x``."""
        if self.kind == "scale":
            return x * self.value
        if self.kind == "offset":
            return x + self.value
        if self.kind == "at-least":
            return np.maximum(x, self.value)
        if self.kind == "at-most":
            return np.minimum(x, self.value)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.log(x) if self.kind == "log" else np.exp(x)


Steps: TypeAlias = tuple[Step, ...]

_UNARY = {"Neg": Step("scale", -1), "Log": Step("log"), "Exp": Step("exp")}
_BINARY: dict[str, Kind] = {
    "Add": "offset",
    "Div": "scale",
    "Max": "at-least",
    "Min": "at-most",
    "Mul": "scale",
    "Sub": "offset",
}
"""Operators of a value and one number, and what they do to the value; Div and Sub with the inverse number."""


def applied(steps: Iterable[Step], x: Array) -> Array:
    """Return ``x`` after ``steps``, in their order."""
    for step in steps:
        x = step.apply(x)
    return x


def factor(steps: Steps) -> float | None:
    """Return a where ``steps`` make a·p of each probability p, or 1 where they make log p; else None.

    ``ALIKE`` is what p may be off, so a limit of 1e-7 or a small number that is added does not matter.
    """
    grid = np.concatenate([np.linspace(0, 1, 1001), 1 - np.logspace(-7, -3, 50), np.logspace(-7, -3, 50)])
    out = applied(steps, grid)
    if any(step.kind == "log" for step in steps) and np.abs(np.exp(out) - grid).max() <= ALIKE:
        return 1.0
    scale = float(applied(steps, np.array([0.5]))[0]) * 2
    if not np.isfinite(scale) or scale <= 0 or not np.abs(out / scale - grid).max() <= ALIKE:
        return None
    return float(f"{scale:.4g}")


def step_of(node: ir.Node) -> tuple[ir.Value, Steps] | None:
    """Return the input and the operations of ``node``; None where it is no arithmetic with one number."""
    if node.domain != "" or not node.inputs or node.inputs[0] is None:
        return None
    if node.op_type in _UNARY:
        return operand(node, 0), (_UNARY[node.op_type],)
    if node.op_type == "Clip":
        return _clip(node)
    return _binary(node) if node.op_type in _BINARY and len(node.inputs) == 2 else None


def _clip(node: ir.Node) -> tuple[ir.Value, Steps] | None:
    """Return the limits of ``node`` that are given; None where one of them is computed."""
    kinds: tuple[Literal["at-least", "at-most"], ...] = ("at-least", "at-most")
    limits = [(kind, value) for kind, value in zip(kinds, node.inputs[1:], strict=False) if value is not None]
    steps = tuple(Step(kind, limit) for kind, value in limits if (limit := number(value)) is not None)
    return (operand(node, 0), steps) if len(steps) == len(limits) else None


def _binary(node: ir.Node) -> tuple[ir.Value, Steps] | None:
    left, right = number(node.inputs[0]), number(node.inputs[1])
    first = left is not None
    constant, value = (left, operand(node, 1)) if first else (right, operand(node, 0))
    if constant is None or (first and right is not None) or shape_of(value) != shape_of(node.outputs[0]):
        return None
    if node.op_type == "Sub":
        return value, (Step("scale", -1), Step("offset", constant)) if first else (Step("offset", -constant),)
    if node.op_type == "Div":
        return None if first or constant == 0 else (value, (Step("scale", 1 / constant),))
    return value, (Step(_BINARY[node.op_type], constant),)


@dataclass(frozen=True)
class Found:
    """An activation that was recognised."""

    operator: Literal["LogSoftmax", "Sigmoid", "Softmax"]
    source: ir.Value
    """What it is computed from."""
    slope: float = 1.0
    """The scores are ``slope`` times ``source``: −1 where the sigmoid is of −``source``."""
    axis: int | None = None
    """Axis that a softmax runs over, from the front."""
    steps: Steps = ()
    """What the value is of the activation's output: log σ, or 2σ − 1."""

    def scores(self, op: Op) -> ir.Value:
        """Return the scores in front of the activation; new nodes are written with ``op``."""
        if self.slope == 1:
            return self.source
        inner = self.source.producer()
        if self.slope == -1 and inner is not None and (inner.domain, inner.op_type) == ("", "Neg"):
            return operand(inner, 0)
        scaled: ir.Value = op.Mul(self.source, self.slope)
        return scaled


def activation_at(value: ir.Value) -> Found | None:
    """Return the activation whose output ``value`` is, as an operator or written by hand; None for another.

    By hand: ``1 / (1 + Exp(−s))``, ``Exp(s) / (1 + Exp(s))``, ``Tanh`` of half the score, and
    ``Softplus(−s)``, which is −log σ(s). FuseSoftmax has made Softmax of a softmax by hand before.
    """
    node = value.producer()
    if node is None or node.domain != "":
        return None
    if node.op_type in ("Softmax", "LogSoftmax"):
        axis = int(attribute(node, "axis", -1)) % len(shape_of(value))
        return Found("Softmax" if node.op_type == "Softmax" else "LogSoftmax", operand(node, 0), axis=axis)
    if node.op_type == "Sigmoid":
        return Found("Sigmoid", operand(node, 0))
    if node.op_type == "Tanh":
        return Found("Sigmoid", operand(node, 0), 2.0, steps=(Step("scale", 2), Step("offset", -1)))
    if node.op_type == "Softplus":
        return Found("Sigmoid", operand(node, 0), -1.0, steps=(Step("log"), Step("scale", -1)))
    return _written_sigmoid(node)


def _written_sigmoid(node: ir.Node) -> Found | None:
    """``Div(1, 1 + Exp(z))`` and ``Reciprocal(1 + Exp(z))`` are σ(−z); ``Div(Exp(z), 1 + Exp(z))``, σ(z)."""
    if node.op_type == "Reciprocal" or (node.op_type == "Pow" and number(node.inputs[1]) == -1):
        exponential = _one_more(node.inputs[0])
        return None if exponential is None else Found("Sigmoid", operand(exponential, 0), -1.0)
    if node.op_type != "Div" or (exponential := _one_more(node.inputs[1])) is None:
        return None
    if number(node.inputs[0]) == 1:
        return Found("Sigmoid", operand(exponential, 0), -1.0)
    same = node.inputs[0] is exponential.outputs[0]
    return Found("Sigmoid", operand(exponential, 0)) if same else None


def _one_more(value: ir.Value | None) -> ir.Node | None:
    """Return the node ``Exp`` where ``value`` is 1 + Exp(z)."""
    node = None if value is None else value.producer()
    if node is None or (node.domain, node.op_type) != ("", "Add"):
        return None
    for one, other in (node.inputs, reversed(node.inputs)):
        inner = None if other is None else other.producer()
        if number(one) == 1 and inner is not None and (inner.domain, inner.op_type) == ("", "Exp"):
            return inner
    return None


def number(value: ir.Value | None) -> float | None:
    """Return the number that every element of the constant ``value`` has; None for any other value."""
    array = constant_array(value)
    if array is None or array.dtype.kind not in "fiu" or array.size == 0 or (array != array.flat[0]).any():
        return None
    return float(array.flat[0])
