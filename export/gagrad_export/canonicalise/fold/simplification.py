"""Fold constants and BatchNorm, drop identities and duplicates: by passes and rewrite rules of others.

What ``onnxscript.optimizer.optimize`` does, but for the rules. One of its own looks for two slices that are a
Split by trying all pairs of nodes, which takes minutes where a network is unrolled to ten thousand; and each
rule that is tried costs as long as folding does, so the second time only those come that what happened in
between gives work to.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import onnx_ir.passes.common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common as rules

from gagrad_export.canonicalise.fold.inference import infer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

LATE_RULES: tuple[rewriter.RewriteRule, ...] = (
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.reshape_reshape_rule,
    rules.squeeze_reshape_1d_rule,
    rules.transpose_transpose_rule,
    rules.unsqueeze_unsqueeze_rule,
)
"""For what our own passes write around the nodes that they replace."""

RULES: tuple[rewriter.RewriteRule, ...] = (
    rules.add_0_rule,
    rules.sub_0_rule,
    rules.mul_by_1_rule,
    rules.div_by_1_rule,
    rules.dropout_inference_rule,
    rules.dropout_zero_rule,
    rules.two_reshapes_matmul_reshape_rule,
    rules.one_reshape_matmul_reshape_rule,
    rules.cast_constant_of_shape_rule,
    rules.cast_constant_of_shape_without_value_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.materialize_reshape_shape_rule,
    rules.min_min_rule,
    rules.max_max_rule,
    rules.min_max_rule,
    rules.max_min_rule,
    rules.successive_clip_relu_rule,
    rules.successive_relu_clip_rule,
    rules.successive_relu_rule,
    rules.successive_clip_rule,
    rules.cast_cast_rule,
    rules.flatten_to_reshape_rule,
    *LATE_RULES,
    rules.no_op_dynamic_scatter_nd_rule,
    rules.no_op_static_scatter_nd_rule,
    rules.normalize_pad_format_conv_rule,
    rules.fuse_pad_into_conv_rule,
    rules.fuse_batchnorm_into_conv_rule,
    rules.fuse_batchnorm_into_conv_transpose_rule,
    rules.fuse_batchnorm_into_gemm_rule,
    rules.remove_optional_bias_from_conv_rule,
    rules.remove_optional_bias_from_conv_transpose_rule,
    rules.remove_optional_bias_from_gemm_rule,
)

_ROUNDS, _LARGEST = 4, 16 << 20
"""Rounds of folding and rewriting, and the bytes of a constant that folding may make."""


def simplify(model: ir.Model, rules: Sequence[rewriter.RewriteRule]) -> ir.Model:
    """Return ``model`` simplified in place, with all types and shapes."""
    # Paddle writes weights as Constant nodes, which the BatchNorm folding would not recognise.
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    rewrite = rewriter.RewritePass(rules)
    for _ in range(_ROUNDS):
        folded = optimizer.fold_constants(model, onnx_shape_inference=True, output_size_limit=_LARGEST)
        rewritten = rewrite(model)
        _register_initializers(model.graph)
        passes.RemoveUnusedNodesPass()(model)
        if not (folded.modified or rewritten.modified):
            break
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.DeduplicateInitializersPass()(model)
    passes.CommonSubexpressionEliminationPass()(model)
    passes.OutputFixPass()(model)
    passes.NameFixPass()(model)
    passes.IdentityEliminationPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    return infer(model)


def _register_initializers(graph: ir.Graph) -> None:
    """Give the graph the constants that it reads and does not have.

    A rule names its constant after its input, so where two branches of one value are rewritten (the clipped
    inputs of q, k and v) the second takes the first one's place (onnxscript 0.7).
    """
    for node in graph:
        for value in node.inputs:
            if value is None or value.const_value is None or value.producer() is not None:
                continue
            name = str(value.name)
            if graph.initializers.get(name) is not value:
                value.name = next(
                    free
                    for number in itertools.count(1)
                    if (free := f"{name}_{number}") not in graph.initializers
                )
                graph.register_initializer(value)
