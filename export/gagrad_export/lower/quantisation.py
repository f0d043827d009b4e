"""Quantisation as arithmetic on floats.

Before: ``DequantizeLinear(QuantizeLinear(x, s, z), s, z)``.
After: ``s · Clip(Round(x / s), min − z, max − z)``, the same numbers bit for bit.

TensorRT refuses a zero point other than 0, which asymmetric 8-bit models have. And engines merge the two
with the operators between them into integer kernels that round in other places: the gradient would then
belong to another function than the scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.emit import operand
from gagrad_export.quantiser import Quantiser, quantiser

if TYPE_CHECKING:
    from gagrad_export.emit import Op


def lower_quantisation(op: Op, *, rounding: bool = True) -> None:
    """Replace every quantiser in the graph, which has to be sorted afterwards.

    Without ``rounding`` values are only limited to the quantiser's range: the smooth function whose gradient
    the straight-through rule takes.
    """
    write = Quantiser.rounded if rounding else Quantiser.clipped
    for node in [node for node in op.graph if node.op_type == "QuantizeLinear"]:
        y = write(quantiser(node), op, operand(node, 0))
        for reader in [use.node for use in node.outputs[0].uses()]:
            ir.convenience.replace_all_uses_with(reader.outputs[0], y, replace_graph_outputs=True)
            op.graph.remove(reader, safe=True)
        op.graph.remove(node, safe=True)
