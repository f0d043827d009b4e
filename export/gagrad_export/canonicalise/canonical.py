"""The pipeline to canonical form, from passes of onnx_ir and onnxscript and the few steps of our own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript import optimizer

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.batch import BATCH, free_batch
from gagrad_export.canonicalise.fold.inference import forget, infer, require_fixed_shapes
from gagrad_export.canonicalise.fold.precision import to_float32
from gagrad_export.canonicalise.fold.rounding import settle_rounding
from gagrad_export.canonicalise.fold.simplification import LATE_RULES, RULES, simplify
from gagrad_export.canonicalise.interface.image import SourceInput, enter_image, source_input
from gagrad_export.canonicalise.interface.ports import choose_input, choose_output, fix_inputs, require_float
from gagrad_export.canonicalise.interface.scores import SourceOutput, leave_scores
from gagrad_export.canonicalise.interface.tail import activation_of, split_tail
from gagrad_export.canonicalise.rewrite.col2im import replace_col2im
from gagrad_export.canonicalise.rewrite.deform_conv import replace_deform_conv
from gagrad_export.canonicalise.rewrite.dft import replace_dft
from gagrad_export.canonicalise.rewrite.einsum_equation import spell_out_einsum
from gagrad_export.canonicalise.rewrite.functions import expand_functions, has_functions
from gagrad_export.canonicalise.rewrite.group_normalisation import replace_group_normalisation
from gagrad_export.canonicalise.rewrite.max_unpool import replace_max_unpool
from gagrad_export.canonicalise.rewrite.neutral_element import drop_neutral
from gagrad_export.canonicalise.rewrite.opset import to_opset
from gagrad_export.canonicalise.rewrite.pool_padding import fuse_pool_padding
from gagrad_export.canonicalise.rewrite.quantisation import count_quantisers, refuse_other_integers
from gagrad_export.canonicalise.rewrite.roi_align import replace_roi_align
from gagrad_export.canonicalise.rewrite.row_gather import gather_within_rows
from gagrad_export.canonicalise.rewrite.row_index import leave_rows_out
from gagrad_export.canonicalise.rewrite.softmax import fuse_softmax
from gagrad_export.canonicalise.rewrite.whole_write import drop_whole_writes
from gagrad_export.canonicalise.unroll.control_flow import has_control_flow, unroll_control_flow
from gagrad_export.canonicalise.unroll.recurrent import unroll_recurrent
from gagrad_export.canonicalise.unroll.sequences import refuse_sequences, replace_sequences
from gagrad_export.emit import constant_array, static_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx
    from numpy.typing import ArrayLike

    from gagrad_edge.manifest import Activation


_ROUNDS = 8
"""Of folding; two or three are usual."""


@dataclass(frozen=True)
class Canonical:
    """A model in canonical form. ``graph`` is a template: copy it before changing it."""

    graph: ir.Graph
    score_shape: tuple[int, ...]
    """K…"""
    source_input: SourceInput
    source_output: SourceOutput
    precision: ir.DataType
    """What the model computed in: its own scores are as exact as that."""
    operators: dict[str, int]
    straight_through: int
    """How many quantisers the gradient passes straight through; 0 for a model in float."""
    notes: tuple[str, ...]
    """What was changed or assumed, in sentences for the user."""

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return self.graph.opset_imports[""]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.source_input.shape

    @property
    def tail(self) -> Activation | None:
        """The activation that was found behind the scores; None when the model ends in scores."""
        return activation_of(self.source_output.activation)


def canonicalise(
    proto: onnx.ModelProto,
    *,
    size: tuple[int, int] | None = None,
    input_name: str | None = None,
    output_name: str | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
) -> Canonical:
    """Bring a model to canonical form with images of ``size = (H, W)``.

    ``fixed`` holds constants for the inputs that are not the image. Raises ModelError and SettingError.
    """
    notes: list[str] = []
    model = to_opset(_with_own_tensors(proto))
    graph = model.graph
    names = {value.name or "" for node in graph for value in node.outputs}
    image = choose_input(graph, input_name, fixed or {}, notes)
    output = choose_output(graph, output_name, notes)
    name = output.name or "scores"
    passes.RemoveUnusedNodesPass()(model)
    refuse_other_integers(graph)
    constants = fix_inputs(graph, image, fixed or {}, notes)
    source = source_input(image, size, constants)
    replace_group_normalisation(graph)
    forget(graph)
    enter_image(graph, image, source, notes)

    model, precision, straight_through = in_simple_operators(model, source.batch)
    graph = model.graph
    require_float(graph.outputs[0], names)
    activation, axis = split_tail(graph)
    passes.RemoveUnusedNodesPass()(model)

    batch = free_batch(graph, source.batch)
    written = leave_scores(batch, name, activation, axis, source.channels_last, notes)
    graph.inputs[0].shape = ir.Shape([BATCH, *source.shape])
    graph.sort()
    forget(graph)
    model = simplify(infer(model), LATE_RULES)
    graph = model.graph
    if not list(graph):
        raise ModelError(
            "nothing lies between the image and the output", hint="choose another with `output_name`"
        )
    if source.fixed_batch:
        notes.append(f"the batch was fixed at {source.batch} and is free now (checked row by row)")
    if precision != ir.DataType.FLOAT:
        notes.append(f"the model computes in {precision.name.lower()}, its explanation in float32")
    operators = Counter(node.op_type for node in graph)
    return Canonical(
        graph=graph,
        score_shape=_score_shape(graph.outputs[0]),
        source_input=source,
        source_output=written,
        precision=precision,
        operators=dict(sorted(operators.items())),
        straight_through=straight_through,
        notes=tuple(notes),
    )


def in_simple_operators(model: ir.Model, rows: int) -> tuple[ir.Model, ir.DataType, int]:
    """Write a model whose inputs have fixed shapes, for a batch of ``rows``, in operators that have rules.

    Return it, in float32 now, with what it computed in and how many quantisers it has. Raises ModelError.
    """
    settle_rounding(model)
    model = _fold_shapes(model)
    precision = to_float32(model.graph)
    forget(model.graph)
    model = simplify(infer(model), RULES)
    graph = model.graph
    require_fixed_shapes(graph)
    straight_through = count_quantisers(graph)
    _write_in_simpler_operators(graph, rows)
    forget(graph)
    return infer(model), precision, straight_through


def _write_in_simpler_operators(graph: ir.Graph, rows: int) -> None:
    """Leave operators that have rules, and that a batch can be followed through; shapes are known."""
    drop_neutral(graph)
    replace_col2im(graph)
    replace_deform_conv(graph)
    replace_dft(graph)
    replace_max_unpool(graph)
    replace_roi_align(graph)
    unroll_recurrent(graph)
    fuse_pool_padding(graph)
    spell_out_einsum(graph)
    drop_whole_writes(graph)
    gather_within_rows(graph, rows)
    leave_rows_out(graph, rows)
    fuse_softmax(graph)


def _with_own_tensors(proto: onnx.ModelProto) -> ir.Model:
    """Return the model with the weights of ``proto``, which is not renamed with them: it is run later."""
    model = ir.serde.deserialize_model(proto)
    for value in [value for graph in model.graphs() for value in graph.initializers.values()]:
        tensor = value.const_value
        if tensor is not None and tensor.dtype != ir.DataType.STRING:
            value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)
    return model


def _fold_shapes(model: ir.Model) -> ir.Model:
    """Fold whatever is computed from shapes; write out functions, sequences and control flow.

    With a number for every dimension of the image that is all of it. A constant gives a shape that gives a
    constant, so this goes on until nothing changes.
    """
    while True:
        model = infer(model, partly=True)
        if has_functions(model.graph):
            expand_functions(model)
            forget(model.graph)
            model = infer(model, partly=True)
        for _ in range(_ROUNDS):
            folded = optimizer.fold_constants(model, should_fold=_fills_a_small_tensor)
            forget(model.graph)
            # What control flow and functions give has a shape only once enough is folded.
            model = infer(model, partly=True)
            if not folded.modified:
                break
        passes.RemoveUnusedNodesPass()(model)
        if not replace_sequences(model.graph):
            if not has_control_flow(model.graph):
                refuse_sequences(model.graph)
                return infer(model)
            unroll_control_flow(model)
        forget(model.graph)


def _fills_a_small_tensor(node: ir.Node) -> bool | None:
    """Fold ConstantOfShape, too, which onnxscript keeps as it is: shapes are computed with it."""
    if node.op_type != "ConstantOfShape":
        return None
    shape = constant_array(node.inputs[0])
    return shape is not None and int(shape.prod()) <= 1 << 16


def _score_shape(scores: ir.Value) -> tuple[int, ...]:
    batch, *rest = static_shape(scores) or [None]
    if batch is not None or not rest or None in rest:
        raise ModelError(
            f"the output has shape {scores.shape}, not [{BATCH}, K…] with a free batch",
            where=f"output {scores.name!r}",
            hint="choose another output with `output_name`, or export the model with a dynamic batch",
        )
    return tuple(dim for dim in rest if dim is not None)
