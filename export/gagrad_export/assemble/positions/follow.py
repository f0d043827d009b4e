"""Which axes of each value run along the image: followed from the image through every operator.

A shape alone does not tell a map from anything else: ``[N, 64, 9, 9]`` may be the rows of a head, and tokens
``[N, 64, D]`` may be a grid of 8×8. So each axis is followed from the image's own rows and columns: through
windows that move over them, reshapes that split or join them, transpositions, attention and residual sums.
Where an operator mixes all positions, its output has none. A residual sum gives them back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.assemble.positions.axes import Axes, Line
from gagrad_export.assemble.positions.rules import RULES, alike

if TYPE_CHECKING:
    import onnx_ir as ir


def positions(graph: ir.Graph) -> dict[ir.Value, Axes]:
    """Return the axes of each value, as far as some of them run along the image."""
    image = graph.inputs[0]
    found: dict[ir.Value, Axes] = {image: (None, None, Line("rows", 0, 1), Line("columns", 0, 1))}
    for node in graph:
        if not any(value in found for value in node.inputs if value is not None):
            continue
        if any(value.shape is None for value in (*node.inputs, *node.outputs) if value is not None):
            continue
        axes = RULES.get(node.op_type, alike)(node, found)
        found |= {value: along for value, along in zip(node.outputs, axes, strict=False) if any(along)}
    return found
