"""HardSwish by its definition.

Before: ``HardSwish(x)``. After: ``x · HardSigmoid(x; 1/6, 1/2)``.

ONNX Runtime expands it so in any case; written out here, its gradient shares the HardSigmoid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.emit import operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


def lower_hard_swish(op: Op, node: ir.Node) -> ir.Value:
    """Return the product."""
    x = operand(node, 0)
    return op.Mul(x, op.HardSigmoid(x, alpha=1 / 6, beta=0.5))
