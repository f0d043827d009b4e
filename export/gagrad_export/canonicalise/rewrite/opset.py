"""Bring a model to one floor of operator definitions, with functions inlined."""

from __future__ import annotations

import logging

import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript import version_converter

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.rewrite.quantisation import unfold_quantisation

OPSET = 18
"""The lowest opset of a canonical graph: older models are converted up, newer ones stay as they are."""


def to_opset(model: ir.Model) -> ir.Model:
    """Inline the model's functions and convert an old one to OPSET. Raises ModelError."""
    graph = model.graph
    # Files before IR version 4 list their weights as inputs, too: those could be fed, so nothing would fold.
    inputs = [value for value in graph.inputs if value.name not in graph.initializers]
    graph.inputs.clear()
    graph.inputs.extend(inputs)
    foreign = sorted({node.domain for node in graph if node.domain not in ("", "ai.onnx")})
    passes.InlinePass()(model)
    # Before the conversion: it knows nothing of ONNX Runtime's operators on integers.
    unfold_quantisation(graph)
    # The converter says on its logger that it falls back to onnx's; that is expected, not news.
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    before = model.opset_imports.get("", 0)
    if before < OPSET:
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
    _say_axes(model.graph)
    return model


def _keep_old_resize(graph: ir.Graph) -> None:
    """Say what Upsample and Resize meant before opset 11; the converter leaves it at the new defaults."""
    for node in graph:
        if node.op_type == "Resize":
            node.attributes["coordinate_transformation_mode"] = ir.AttrString(
                "coordinate_transformation_mode", "asymmetric"
            )
            node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "floor")


def _say_axes(graph: ir.Graph) -> None:
    """Write out a default that onnx's shape inference forgets: it goes by the operator's definition."""
    for node in graph:
        if node.op_type == "MeanVarianceNormalization" and "axes" not in node.attributes:
            node.attributes["axes"] = ir.AttrInt64s("axes", [0, 2, 3])
