"""ScatterND that overwrites the whole tensor in order, replaced by its updates.

torch's older exporter writes ``x[:, :, i:, j:] = v`` as a ScatterND with one index per element, even where i
and j are 0 and v is all of the result: MViT adds its relative positions this way. Before:
``ScatterND(x, indices, v)``. After: ``v``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.canonicalise.rewrite.writing import standard_nodes
from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence


class DropWholeWrites(Pass):
    """Replaces every ScatterND that overwrites all of its data by its updates."""

    needs = Known.FIXED
    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Let the updates take the place of what ScatterND returns."""
        graph, modified = model.graph, False
        for node in standard_nodes(graph, ("ScatterND",)):
            data, indices, updates = (operand(node, i) for i in range(3))
            written, indexed = static_shape(indices)[:-1], static_shape(indices)[-1]
            whole = written == static_shape(data)[:indexed] and attribute(node, "reduction", "none") == "none"
            if whole and _count_up(indices, [size or 0 for size in written], graph.opset_imports[""]):
                ir.convenience.replace_all_uses_with(node.outputs[0], updates, replace_graph_outputs=True)
                graph.remove(node, safe=True)
                modified = True
        return ir.passes.PassResult(model, modified)


def _count_up(indices: ir.Value, shape: Sequence[int], opset: int) -> bool:
    """Tell whether ``indices`` are constant and name every position of ``shape`` in row-major order."""
    found = evaluated(indices, opset)
    return found is not None and bool((found == np.moveaxis(np.indices(shape), 0, -1)).all())
