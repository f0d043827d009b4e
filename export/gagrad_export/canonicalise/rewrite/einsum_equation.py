"""Einsum with its equation written out: the batch has a label to be followed by, and TensorRT reads it.

Before: ``Einsum(q, k; "...ID,...JD->...IJ")``. After: ``Einsum(q, k; "abce,abde->abcd")``. TensorRT refuses
upper-case labels, which torch's einsum takes as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.differentiate.equation import spelled_out
from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence


def spell_out_einsum(graph: ir.Graph) -> None:
    """Write out each equation; one whose ellipsis broadcasts stays, for labels do not."""
    for node in graph:
        if node.op_type != "Einsum" or node.domain != "":
            continue
        shapes = [static_shape(operand(node, i)) for i in range(len(node.inputs))]
        result, *terms = spelled_out(str(attribute(node, "equation")), [len(shape) for shape in shapes])
        if not _broadcasts(terms, shapes):
            node.attributes.add(ir.AttrString("equation", f"{','.join(terms)}->{result}"))


def _broadcasts(terms: Sequence[str], shapes: Sequence[Sequence[int | None]]) -> bool:
    extents: dict[str, int | None] = {}
    return any(
        extents.setdefault(label, extent) != extent
        for term, shape in zip(terms, shapes, strict=True)
        for label, extent in zip(term, shape, strict=True)
    )
