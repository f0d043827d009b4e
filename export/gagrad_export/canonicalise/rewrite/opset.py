"""One lowest version of the standard operators: opset 18.

Before: a model of opset 7, say. After: the same operators in their definitions of opset 18; newer models stay
as they are.
"""

from __future__ import annotations

import logging

import onnx_ir as ir
from onnxscript import version_converter

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.rewrite.writing import not_rewritten, standard_nodes

OPSET = 18
"""The lowest opset of a canonical graph."""


class ConvertOpset(Pass):
    """Converts a model below OPSET to it. Raises ModelError where that cannot be done."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Convert ``model``, and write out defaults that would be lost."""
        # The converter logs that it falls back to onnx's converter, which is expected.
        logging.getLogger("onnxscript").setLevel(logging.ERROR)
        before = model.opset_imports.get("", 0)
        if before < OPSET:
            if before < 9:
                _refuse_batched_scan(model.graph)
            foreign = sorted({node.domain for node in model.graph if node.domain not in ("", "ai.onnx")})
            model.ir_version = max(model.ir_version or 0, 8)
            version_converter.convert_version(model, OPSET, fallback=True)
            if model.opset_imports.get("", 0) < OPSET:
                raise ModelError(
                    f"the model's opset {before} could not be converted to {OPSET}",
                    hint="export it with opset 13 or later",
                    where=f"operators of {', '.join(foreign)}" if foreign else None,
                )
        if before < 11:
            _keep_old_resize(model.graph)
        written = _write_out_axes(model.graph)
        return ir.passes.PassResult(model, before < OPSET or written)


def _refuse_batched_scan(graph: ir.Graph) -> None:
    """Refuse Scan of opset 8, whose inputs have a batch axis: the converter takes it for the later Scan."""
    for node in standard_nodes(graph, ("Scan",)):
        raise not_rewritten(node, "version 8 has a batch axis; export the model with opset 9 or later")


def _keep_old_resize(graph: ir.Graph) -> None:
    """Write out what Upsample and Resize meant before opset 11; the converter leaves the new defaults."""
    for node in graph:
        if node.op_type == "Resize":
            node.attributes["coordinate_transformation_mode"] = ir.AttrString(
                "coordinate_transformation_mode", "asymmetric"
            )
            node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "floor")


def _write_out_axes(graph: ir.Graph) -> bool:
    """Write out the default axes of MeanVarianceNormalization, and tell whether there were any to write.

    onnx's shape inference goes by the operator's definition as a function, and leaves the default out.
    """
    found = [node for node in graph if node.op_type == "MeanVarianceNormalization"]
    found = [node for node in found if "axes" not in node.attributes]
    for node in found:
        node.attributes["axes"] = ir.AttrInt64s("axes", [0, 2, 3])
    return bool(found)
