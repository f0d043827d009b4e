"""A model's own functions, inlined into its graph.

Before: ``f(x)`` with ``f`` among the model's functions. After: the nodes of ``f``.
"""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_export.canonicalise.contract import Pass


class InlineFunctions(Pass):
    """Inlines the functions, sorts the graph, and takes weights off the list of inputs."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Inline the functions of ``model``."""
        graph = model.graph
        # Files before IR version 4 list their weights as inputs, too: no value that can be fed would fold.
        inputs = [value for value in graph.inputs if value.name not in graph.initializers]
        modified = len(inputs) < len(graph.inputs)
        graph.inputs.clear()
        graph.inputs.extend(inputs)
        modified |= passes.InlinePass()(model).modified
        nodes = list(graph)
        graph.sort()
        return ir.passes.PassResult(model, modified or nodes != list(graph))
