"""A ScatterND that writes every element, each in its place, gives its updates.

torch's older exporter writes ``x[:, :, i:, j:] = v`` as a ScatterND at an index per element, also where i and
j are 0: MViT adds its relative positions so. Before: ``ScatterND(x, indices, v)``. After: ``v``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence


def drop_whole_writes(graph: ir.Graph) -> None:
    """Replace every such ScatterND by its updates; all shapes are known."""
    for node in [node for node in graph if node.op_type == "ScatterND" and node.domain == ""]:
        data, indices, updates = (operand(node, i) for i in range(3))
        written, indexed = static_shape(indices)[:-1], static_shape(indices)[-1]
        whole = written == static_shape(data)[:indexed] and attribute(node, "reduction", "none") == "none"
        if whole and _counts(indices, [size or 0 for size in written], graph.opset_imports[""]):
            ir.convenience.replace_all_uses_with(node.outputs[0], updates, replace_graph_outputs=True)
            graph.remove(node, safe=True)


def _counts(indices: ir.Value, shape: Sequence[int], opset: int) -> bool:
    found = evaluated(indices, opset)
    return found is not None and bool((found == np.moveaxis(np.indices(shape), 0, -1)).all())
