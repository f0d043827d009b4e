"""Einstein summation: the adjoint with respect to one operand is an Einsum of dy and the other operands."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_letters
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.equation import spelled_out
from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import attribute, fixed_shape, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("Einsum", since=12)
def einsum(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = Σ a·b·… over the labels that y lacks  ⟹  da = Σ dy·b·… over the labels that a lacks.

    A label that only a has was summed over, so da is constant along that axis. If a has a label twice (a
    diagonal), the second axis gets a new label, and an identity matrix over both labels becomes an operand.
    """
    result, *terms = _terms(op, node, [dy, *(operand(node, i) for i in range(len(node.inputs)))])
    parts = []
    for term in terms[: len(node.inputs)]:
        factors = [result, *(other for other in terms if other is not term)]
        have = {label for factor in factors for label in factor.labels}
        kept = "".join(label for label in term.labels if label in have)
        equation = ",".join(factor.labels for factor in factors)
        operands = [factor.value(op) for factor in factors]
        product = dy if equation == kept else op.Einsum(*operands, equation=f"{equation}->{kept}")
        missing = [i for i, label in enumerate(term.axes) if label not in kept]
        parts.append(op.Unsqueeze(product, missing) if missing else product)
    return parts


@dataclass(frozen=True)
class _Term:
    """One operand of an Einsum; ``axes`` has one letter per axis, a blank for a broadcast axis of size 1."""

    operand: ir.Value
    axes: str

    @property
    def labels(self) -> str:
        return self.axes.replace(" ", "")

    def value(self, op: Op) -> ir.Value:
        broadcast = [i for i, label in enumerate(self.axes) if label == " "]
        return op.Squeeze(self.operand, broadcast) if broadcast else self.operand


def _terms(op: Op, node: ir.Node, values: list[ir.Value]) -> list[_Term]:
    """Return the terms of an Einsum node: the output, the operands, then an identity for each diagonal.

    ``values`` are the cotangent and the operands.
    """
    ranks = [len(static_shape(value)) for value in values[1:]]
    spelled = spelled_out(str(attribute(node, "equation")), ranks)
    free = [label for label in ascii_letters if label not in "".join(spelled)]
    values, spelled = _without_diagonals(op, values, spelled, free)
    return [
        _Term(value, _without_broadcast(value, labels, values, spelled))
        for value, labels in zip(values, spelled, strict=True)
    ]


def _without_diagonals(
    op: Op, values: list[ir.Value], spelled: list[str], free: list[str]
) -> tuple[list[ir.Value], list[str]]:
    """Return values and labels without repeated labels: a repetition is renamed, an identity joins both."""
    values, spelled, free = list(values), list(spelled), list(free)
    for index, labels in enumerate(spelled):
        for axis, label in enumerate(labels):
            if label in labels[:axis]:
                other = free.pop(0)
                spelled[index] = f"{spelled[index][:axis]}{other}{spelled[index][axis + 1 :]}"
                (size,) = fixed_shape(values[index])[axis - 1 : axis]
                values.append(op.constant(np.eye(size), like=values[index]))
                spelled.append(label + other)
    return values, spelled


def _without_broadcast(value: ir.Value, labels: str, values: list[ir.Value], spelled: list[str]) -> str:
    """Return ``labels`` with a blank for each axis of size 1 whose label is larger in another term."""

    def is_larger(label: str) -> bool:
        sizes = [
            static_shape(other)[theirs.index(label)]
            for other, theirs in zip(values, spelled, strict=True)
            if label in theirs
        ]
        return any(size != 1 for size in sizes)

    return "".join(
        " " if size == 1 and is_larger(label) else label
        for label, size in zip(labels, static_shape(value), strict=True)
    )
