"""Einsum with its equation written out: one lower-case label for each axis, and no ellipsis.

Before: ``Einsum(q, k; "...ID,...JD->...IJ")``. After: ``Einsum(q, k; "abce,abde->abcd")``. The batch is
followed through an Einsum by its label, which an ellipsis does not give, and TensorRT refuses the upper-case
labels that torch allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.rewrite.writing import standard_nodes
from gagrad_export.differentiate.equation import spelled_out
from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence


class SpellOutEinsum(Pass):
    """Writes out each equation; an equation whose ellipsis broadcasts stays, for labels do not broadcast."""

    needs = Known.ALL
    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Write out the equation of every Einsum."""
        modified = False
        for node in standard_nodes(model.graph, ("Einsum",)):
            shapes = [static_shape(operand(node, i)) for i in range(len(node.inputs))]
            given = str(attribute(node, "equation"))
            result, *terms = spelled_out(given, [len(shape) for shape in shapes])
            equation = f"{','.join(terms)}->{result}"
            if equation != given and not _broadcasts(terms, shapes):
                node.attributes.add(ir.AttrString("equation", equation))
                modified = True
        return ir.passes.PassResult(model, modified)


def _broadcasts(terms: Sequence[str], shapes: Sequence[Sequence[int | None]]) -> bool:
    """Tell whether one label stands for axes of different extents, as an ellipsis may."""
    extents: dict[str, int | None] = {}
    return any(
        extents.setdefault(label, extent) != extent
        for term, shape in zip(terms, shapes, strict=True)
        for label, extent in zip(term, shape, strict=True)
    )
