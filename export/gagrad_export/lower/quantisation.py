"""Quantisation as float arithmetic.

Before: ``DequantizeLinear(QuantizeLinear(x, s, z), s, z)``.
After: ``s · Clip(Round(x / s), min − z, max − z)``, the same numbers bit for bit.

TensorRT refuses a zero point other than 0, which asymmetric 8-bit models have. Also, engines fuse quantisers
with the operators between them into integer kernels, which round in other places: the scores would then come
from another function than the gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.emit import operand
from gagrad_export.quantiser import Quantiser, quantiser

if TYPE_CHECKING:
    from gagrad_export.emit import Op


def lower_quantisation(op: Op, *, rounding: bool = True) -> None:
    """Replace every quantiser in the graph of ``op``. The caller must sort the graph afterwards.

    With ``rounding=False`` values are only clipped to the quantiser's range. That is the function whose
    gradient the straight-through rule computes.
    """
    write = Quantiser.rounded if rounding else Quantiser.clipped
    for node in [node for node in op.graph if node.op_type == "QuantizeLinear"]:
        y = write(quantiser(node), op, operand(node, 0))
        for reader in [use.node for use in node.outputs[0].uses()]:
            ir.convenience.replace_all_uses_with(reader.outputs[0], y, replace_graph_outputs=True)
            op.graph.remove(reader, safe=True)
        op.graph.remove(node, safe=True)
