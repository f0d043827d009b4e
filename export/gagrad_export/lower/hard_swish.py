"""HardSwish as a product with HardSigmoid.

Before: ``HardSwish(x)``. After: ``x · HardSigmoid(x; 1/6, 1/2)``.

ONNX Runtime expands HardSwish in the same way when it loads a graph. Expanded at export, the forward pass and
the gradient share one HardSigmoid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.emit import operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


def lower_hard_swish(op: Op, node: ir.Node) -> ir.Value:
    """Return the HardSwish ``node`` as ``x · HardSigmoid(x)``."""
    x = operand(node, 0)
    return op.Mul(x, op.HardSigmoid(x, alpha=1 / 6, beta=0.5))
