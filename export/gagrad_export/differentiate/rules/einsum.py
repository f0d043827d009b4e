"""Einstein summation: the adjoint with respect to one operand is an Einsum of dy and the other operands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.differentiate.equation import spelled_out
from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("Einsum", since=12)
def einsum(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = Σ a·b·… over the labels that y lacks  ⟹  da = Σ dy·b·… over the labels that a lacks.

    A label that only a has was summed away: da is constant along it.
    """
    result, *terms = _terms(node, [dy, *(operand(node, i) for i in range(len(node.inputs)))])
    parts = []
    for term in terms:
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
    """One operand: ``axes`` has a label for each axis, a blank where a single element is broadcast."""

    operand: ir.Value
    axes: str

    @property
    def labels(self) -> str:
        return self.axes.replace(" ", "")

    def value(self, op: Op) -> ir.Value:
        broadcast = [i for i, label in enumerate(self.axes) if label == " "]
        return op.Squeeze(self.operand, broadcast) if broadcast else self.operand


def _terms(node: ir.Node, values: list[ir.Value]) -> list[_Term]:
    """Return the output and the operands of an Einsum; ``values`` are the cotangent and the operands."""
    ranks = [len(static_shape(value)) for value in values[1:]]
    spelled = spelled_out(str(attribute(node, "equation")), ranks)
    if any(len(set(labels)) < len(labels) for labels in spelled):
        raise UnsupportedOperatorError(
            f"operator Einsum has no differentiation rule for a diagonal: {attribute(node, 'equation')!r}",
            where=f"node {node.name!r}",
            hint="write the diagonal as a product with an identity matrix",
        )
    return [
        _Term(value, _without_broadcast(value, labels, values, spelled))
        for value, labels in zip(values, spelled, strict=True)
    ]


def _without_broadcast(value: ir.Value, labels: str, values: list[ir.Value], spelled: list[str]) -> str:
    """Return ``labels`` with a blank for each axis of size 1 whose label is larger elsewhere."""

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
