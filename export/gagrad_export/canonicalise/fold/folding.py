"""Constants in place of what is computed from constants and from fixed shapes."""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import optimizer

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.emit import constant_array


class FoldConstants(Pass):
    """Folds once, as far as shapes are known; a constant may then give a shape that gives a constant."""

    needs = Known.SOME

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold with onnxscript's folding."""
        folded = optimizer.fold_constants(model, should_fold=_fills_a_small_tensor)
        return ir.passes.PassResult(model, folded.modified)


def _fills_a_small_tensor(node: ir.Node) -> bool | None:
    """Fold ConstantOfShape, too, which onnxscript keeps as it is: shapes are computed with it."""
    if node.op_type != "ConstantOfShape":
        return None
    shape = constant_array(node.inputs[0])
    return shape is not None and int(shape.prod()) <= 1 << 16
