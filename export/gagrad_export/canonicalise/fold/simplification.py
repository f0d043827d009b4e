"""Simplification by the passes and rewrite rules of onnx_ir and onnxscript.

Constants and BatchNorm are folded, identities and duplicates removed: as ``onnxscript.optimizer.optimize``
does, but with rules of our choice. One of onnxscript's rules looks for two Slices that make a Split by trying
all pairs of nodes, which takes minutes on a network that is unrolled to ten thousand nodes. Each rule takes
as long as folding does, so the second simplification has LATE_RULES alone.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common as rules

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known

if TYPE_CHECKING:
    from collections.abc import Sequence

LATE_RULES: tuple[rewriter.RewriteRule, ...] = (
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.reshape_reshape_rule,
    rules.squeeze_reshape_1d_rule,
    rules.transpose_transpose_rule,
    rules.unsqueeze_unsqueeze_rule,
)
"""Rules for what our own passes write around the nodes that they replace."""

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
"""The most rounds of folding and rewriting, and the most bytes of a constant that folding may make."""


class Simplify(Pass):
    """Folds constants, applies rewrite rules, and removes duplicates, identities and unused nodes."""

    needs = Known.ALL
    keeps_shapes = True

    def __init__(self, rules: Sequence[rewriter.RewriteRule]) -> None:
        self._rules = rules

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold and rewrite until nothing changes, at most _ROUNDS times; then tidy up once."""
        before = len(model.graph), len(model.graph.initializers)
        # Paddle writes weights as Constant nodes, which the BatchNorm folding would not recognise.
        lift_constants = passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)
        modified = lift_constants(model).modified
        rewrite = rewriter.RewritePass(self._rules)
        for _ in range(_ROUNDS):
            folded = optimizer.fold_constants(model, onnx_shape_inference=True, output_size_limit=_LARGEST)
            rewritten = rewrite(model)
            _register_initializers(model.graph)
            unused = passes.RemoveUnusedNodesPass()(model)
            modified |= folded.modified or rewritten.modified or unused.modified
            if not (folded.modified or rewritten.modified):
                break
        for tidy in (
            lift_constants,
            passes.DeduplicateInitializersPass(),
            passes.CommonSubexpressionEliminationPass(),
            passes.OutputFixPass(),
            passes.NameFixPass(),
            passes.IdentityEliminationPass(),
            passes.RemoveUnusedNodesPass(),
            passes.ClearMetadataAndDocStringPass(),
        ):
            modified |= tidy(model).modified
        # onnxscript's rewriter also removes unused nodes, and does not report that.
        modified |= before != (len(model.graph), len(model.graph.initializers))
        return ir.passes.PassResult(model, modified)


def _register_initializers(graph: ir.Graph) -> None:
    """Register the constants that nodes read and that are not among the graph's initializers.

    A rule of onnxscript 0.7 names its constant after its input. Where two branches of one value are rewritten
    (the clipped inputs of q, k and v), the second constant takes the place of the first in the graph.
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
