"""Removal of nodes and initializers that the outputs do not depend on."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_export.canonicalise.contract import Pass


class RemoveUnused(Pass):
    """Removes what the outputs do not depend on."""

    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Remove nodes and initializers by onnx_ir's pass."""
        return passes.RemoveUnusedNodesPass()(model)
