"""The pipeline to canonical form, from passes of onnx_ir and onnxscript and the few steps of our own."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript import optimizer, version_converter

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.ports import BATCH, choose_input, choose_output, fix_input
from gagrad_export.canonicalise.rebatch import free_batch
from gagrad_export.canonicalise.tail import split_tail
from gagrad_export.canonicalise.unroll_control_flow import has_control_flow, unroll_control_flow
from gagrad_export.canonicalise.unroll_recurrent import unroll_recurrent
from gagrad_export.emit import static_shape

if TYPE_CHECKING:
    from gagrad_edge.manifest import Activation

OPSET = 18
"""The lowest opset of a canonical graph: older models are converted up, newer ones stay as they are."""


@dataclass(frozen=True)
class Canonical:
    """A model in canonical form. ``graph`` is a template: copy it before changing it."""

    graph: ir.Graph
    input_shape: tuple[int, int, int]
    """(C, H, W)."""
    output_name: str
    score_shape: tuple[int, ...]
    """K…"""
    tail: Activation | None
    """The activation that was found behind the scores; None when the model ends in scores."""
    operators: dict[str, int]
    rebatched: bool

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return self.graph.opset_imports[""]


def canonicalise(
    proto: onnx.ModelProto,
    *,
    size: tuple[int, int] | None = None,
    input_name: str | None = None,
    output_name: str | None = None,
) -> Canonical:
    """Bring a model to canonical form with images of ``size = (H, W)``. Raises ModelError."""
    model = _to_opset(ir.serde.deserialize_model(proto))
    graph = model.graph
    image = choose_input(graph, input_name)
    _only_input(graph, image)
    output = choose_output(graph, output_name)
    name = output.name or "scores"
    if output not in graph.outputs or len(graph.outputs) > 1:
        graph.outputs.clear()
        graph.outputs.append(output)
    fixed_batch = isinstance(image.shape[0], int) if image.shape is not None else False
    shape = fix_input(image, size)
    _forget_shapes(graph)
    model = _fold(model)
    graph = model.graph
    rebatched = bool(fixed_batch and free_batch(graph))
    model = _infer_shapes(model)
    unroll_recurrent(model.graph)
    model = _simplify(model)
    graph = model.graph
    scores, tail = split_tail(graph.outputs[0])
    graph.outputs[0] = scores
    passes.RemoveUnusedNodesPass()(model)
    if not list(graph):
        raise ModelError(
            "nothing lies between the image and the output", hint="choose another with --output-name"
        )
    operators = Counter(node.op_type for node in graph)
    return Canonical(
        graph=graph,
        input_shape=shape,
        output_name=name,
        score_shape=_score_shape(scores),
        tail=tail,
        operators=dict(sorted(operators.items())),
        rebatched=rebatched,
    )


def _to_opset(model: ir.Model) -> ir.Model:
    foreign = sorted({node.domain for node in model.graph if node.domain not in ("", "ai.onnx")})
    passes.InlinePass()(model)
    # The converter says on its logger that it falls back to onnx's; that is expected, not news.
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    if model.opset_imports.get("", 0) < OPSET:
        before = model.opset_imports.get("", 0)
        version_converter.convert_version(model, OPSET, fallback=True)
        if model.opset_imports.get("", 0) < OPSET:
            raise ModelError(
                f"the model's opset {before} could not be converted to {OPSET}",
                hint="export it with opset 13 or later",
                where=f"operators of {', '.join(foreign)}" if foreign else None,
            )
    return model


def _only_input(graph: ir.Graph, image: ir.Value) -> None:
    """Drop initializers from the inputs (old files list them); refuse a second real input."""
    others = [value for value in graph.inputs if value is not image and value.name not in graph.initializers]
    used = [value.name or "" for value in others if value.uses()]
    if used:
        raise ModelError(
            f"the model also needs the inputs {', '.join(used)}; one image input is supported",
            hint="export the model with those inputs fixed",
        )
    graph.inputs.clear()
    graph.inputs.append(image)


def _forget_shapes(graph: ir.Graph) -> None:
    """Drop the recorded shapes of intermediate values: they hold the old batch and size."""
    for node in graph:
        for value in node.outputs:
            value.shape = None


def _fold(model: ir.Model) -> ir.Model:
    """Fold constants, and the control flow that they decide, which may make more of them."""
    while True:
        optimizer.fold_constants(model)
        passes.RemoveUnusedNodesPass()(model)
        if not has_control_flow(model.graph):
            return model
        model = _infer_shapes(model)
        unroll_control_flow(model)


def _infer_shapes(model: ir.Model) -> ir.Model:
    proto = ir.serde.serialize_model(model)
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(
            f"the model's shapes do not fit together ({error})",
            hint="if it was exported for one batch or size only, export it with a dynamic batch",
        ) from error
    return ir.serde.deserialize_model(inferred)


def _simplify(model: ir.Model) -> ir.Model:
    """Fold constants and BatchNorm, drop identities and duplicates."""
    # Paddle writes weights as Constant nodes, which the BatchNorm folding would not recognise.
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    optimizer.optimize(model, num_iterations=4, output_size_limit=16 << 20)
    passes.IdentityEliminationPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    model = _infer_shapes(model)
    unknown = [value.name for node in model.graph for value in node.outputs if value.shape is None]
    if unknown:
        raise ModelError(f"the shape of {unknown[0]} could not be inferred", hint="export with fixed shapes")
    return model


def _score_shape(scores: ir.Value) -> tuple[int, ...]:
    batch, *rest = static_shape(scores) or [None]
    if batch is not None or not rest or None in rest:
        raise ModelError(
            f"the output has shape {scores.shape}, not [{BATCH}, K…] with a free batch",
            where=f"output {scores.name!r}",
            hint="choose another output with --output-name, or export the model with a dynamic batch",
        )
    return tuple(dim for dim in rest if dim is not None)
